// The claim link carries its token in the fragment, which no server sees. Take it out of the
// address bar and hand it in; without this script the person pastes the link into the field.
const form = document.querySelector("[data-claim]");
const token = window.location.hash.slice(1);
if (form && token) {
  form.querySelector("[name=token]").value = token;
  window.history.replaceState(null, "", window.location.pathname);
  form.requestSubmit();
}
