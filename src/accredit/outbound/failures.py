"""What can go wrong on the way to another server. None of them says whether the other side acted."""

from accredit.errors import Unavailable


class UpstreamFailure(Unavailable):
    """The other server did not give a usable answer."""

    code = "upstream_failed"


class UpstreamUnreachable(UpstreamFailure):
    """No connection, or it closed before an answer began."""

    code = "upstream_unreachable"


class UpstreamTimeout(UpstreamFailure):
    """It did not answer in the time that we give it."""

    code = "upstream_timeout"


class UpstreamInvalid(UpstreamFailure):
    """It answered what the protocol does not allow, or more than we take."""

    code = "upstream_invalid"


class UpstreamCut(UpstreamFailure):
    """The answer began and did not end."""

    code = "upstream_cut"
