/**
 * A stand-in for Jaeger on machines that can't pull Jaeger's image and haven't built its program. It accepts OTLP in
 * JSON. It answers only the request for the names of the services whose spans it has received.
 */
import { createServer } from 'node:http';

/** @type {Set<string>} */
const services = new Set();

/**
 * @param {number} port
 * @param {(body: string) => unknown} answer
 */
function serve(port, answer) {
  createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (/** @type {string} */ chunk) => (body += chunk));
    request.on('end', () => {
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify(answer(body)));
    });
  }).listen(port);
}

serve(13133, () => ({ status: 'StatusOK' }));
serve(16686, () => ({ data: [...services], total: services.size }));
serve(4318, (body) => {
  for (const { resource } of JSON.parse(body).resourceSpans ?? []) {
    for (const { key, value } of resource.attributes) if (key === 'service.name') services.add(value.stringValue);
  }
  return {};
});
process.on('SIGTERM', () => process.exit(0));
