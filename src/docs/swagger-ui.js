// Starts Swagger UI. It asks nobody else whether the document is valid, and keeps no token.
const docs = document.getElementById("docs");
SwaggerUIBundle({
  domNode: docs,
  url: docs.dataset.url,
  deepLinking: true,
  persistAuthorization: false,
  validatorUrl: null,
});
