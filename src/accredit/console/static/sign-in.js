// The one-time token is in the fragment, which no browser sends and no log keeps. It is taken out of the address bar
// before anything else, then posted: a GET changes nothing, so a mail scanner that opens the link uses nothing up.
const token = location.hash.slice(1);
if (token) {
  history.replaceState(null, "", location.pathname);
  const form = document.getElementById("sign-in");
  document.getElementById("explanation").hidden = true;
  document.getElementById("working").hidden = false;
  form.elements.token.value = token;
  form.submit();
}
// A link pasted into this same tab changes only the fragment.
addEventListener("hashchange", () => location.reload());
