// Passkeys. A form with data-passkey="get" or "create" is not sent as it stands: its options are fetched, the browser
// asks the person, and what it made goes into the field `response`. Without a script nothing of this can work.
const WORDS = {
  NotAllowedError: "Nothing was chosen, or it took too long. Try again.",
  InvalidStateError: "This device has a passkey for you already.",
  SecurityError: "Passkeys do not work at this address. Open the console by its name.",
};
const NOT_HERE = "This browser has no passkeys. Use a newer one, or another way to sign in.";
const READ = { get: "parseRequestOptionsFromJSON", create: "parseCreationOptionsFromJSON" };

async function options(form) {
  const answer = await fetch(form.dataset.options, {
    method: "POST",
    body: new URLSearchParams(new FormData(form)),
    redirect: "manual",
    signal: AbortSignal.timeout(10000),
  });
  // The session ended, or its sign-in is too old: the page says what to do.
  if (!answer.ok) { location.reload(); return null }
  return answer.json();
}

async function perform(form) {
  const kind = form.dataset.passkey;
  const said = form.querySelector("[data-said]");
  const button = form.querySelector("button");
  const read = globalThis.PublicKeyCredential?.[READ[kind]];
  if (!read) { said.textContent = NOT_HERE; return }
  said.textContent = "Follow your browser.";
  button.disabled = true;
  try {
    const asked = await options(form);
    if (!asked) return;
    const publicKey = read.call(PublicKeyCredential, asked);
    const credential = await navigator.credentials[kind]({ publicKey });
    form.elements.response.value = JSON.stringify(credential.toJSON());
    form.submit();
  } catch (error) {
    said.textContent = WORDS[error.name] ?? "That did not work. Try again.";
    button.disabled = false;
    button.focus();
  }
}

for (const form of document.querySelectorAll("form[data-passkey]")) {
  form.addEventListener("submit", event => { event.preventDefault(); perform(form) });
}
