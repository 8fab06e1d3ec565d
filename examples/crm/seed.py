"""Data to try the CRM with: 60 contacts in 12 companies and 40 deals, the same each time."""

import itertools

from examples.crm.book import Book, Contact, Deal, Stage

_COMPANIES = (
    ("Alder & Finch Logistics", "alderfinch"),
    ("Bluewater Marine", "bluewater-marine"),
    ("Castellan Insurance", "castellan"),
    ("Dovetail Furniture", "dovetail"),
    ("Evergreen Hospitals", "evergreen-hospitals"),
    ("Fennel Foods", "fennelfoods"),
    ("Granite Peak Outdoors", "granitepeak"),
    ("Harbour Light Energy", "harbourlight"),
    ("Ironbridge Engineering", "ironbridge-eng"),
    ("Juniper Learning", "juniper-learning"),
    ("Kestrel Aviation", "kestrel-aviation"),
    ("Lumen Optics", "lumenoptics"),
)
_GIVEN_NAMES = (
    "Amara", "Bjorn", "Chiara", "Dmitri", "Elena", "Farid", "Greta", "Hiro", "Ines", "Jonas",
    "Kavya", "Liam", "Mei", "Nadia", "Oscar", "Priya", "Quentin", "Rosa", "Samuel", "Tariq",
)  # fmt: skip
_FAMILY_NAMES = (
    "Okafor", "Lindqvist", "Moretti", "Volkov", "Castillo", "Haddad", "Baumann", "Tanaka", "Ferreira", "Schmidt",
    "Iyer", "Brennan", "Zhang", "Petrova", "Nilsson", "Raman", "Dubois", "Alvarez", "Whitfield", "Rahman",
    "Novak", "Kowalska", "Andersen",
)  # fmt: skip
_WORK = (
    "pilot", "annual licence", "renewal", "training for 20", "migration", "support contract", "second site",
    "security review",
)  # fmt: skip
_STAGES: tuple[Stage, ...] = ("lead", "qualified", "proposal", "won", "lost")

CONTACTS = 60
DEALS = 40


def contacts() -> list[Contact]:
    """The contacts, numbered from 1; five in each company. No two have the same name."""
    # 20 and 23 have no common divisor, so pairs repeat only after 460 people.
    names = zip(itertools.cycle(_GIVEN_NAMES), itertools.cycle(_FAMILY_NAMES), strict=False)
    return [
        _contact(number, given, family, *_COMPANIES[(number - 1) % len(_COMPANIES)])
        for number, (given, family) in zip(range(1, CONTACTS + 1), names, strict=False)
    ]


def deals() -> list[Deal]:
    """The deals, numbered from 1, in every stage, from 1,500 to about 100,000 euros."""
    people = contacts()
    return [
        Deal(
            id=number,
            contact_id=people[(number * 7) % CONTACTS].id,
            title=f"{people[(number * 7) % CONTACTS].company}: {_WORK[number % len(_WORK)]}",
            stage=_STAGES[number % len(_STAGES)],
            amount=1_500 + (number * 7_919) % 197 * 500,
        )
        for number in range(1, DEALS + 1)
    ]


def seed(book: Book) -> None:
    """Fill an empty book; leave one that has records as it is."""
    if book.is_empty():
        book.add(contacts(), deals())


def _contact(number: int, given: str, family: str, company: str, domain: str) -> Contact:
    # .example is reserved (RFC 2606): no mail can reach anyone.
    email = f"{given}.{family}@{domain}.example".lower()
    return Contact(id=number, name=f"{given} {family}", email=email, company=company)
