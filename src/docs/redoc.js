// Starts ReDoc. Its search would need a worker made of a string, which the policy refuses.
const docs = document.getElementById("docs");
const url = new URL(docs.dataset.url, document.baseURI);
url.searchParams.set("format", "json");
Redoc.init(url.href, { disableSearch: true }, docs);
