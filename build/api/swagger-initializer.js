SwaggerUIBundle({
  // Relative, because a proxy may serve all of it below a prefix.
  url: "../../openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  // Its bar on top, which asks for the address of another document, is left out with its script.
  layout: "BaseLayout",
  // A public validator would be asked about the document.
  validatorUrl: "none",
});
