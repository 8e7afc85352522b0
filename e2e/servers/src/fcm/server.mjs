// What Firebase Cloud Messaging (HTTP v1) and Google's token endpoint are to a sender, as strict as they are, with what a test needs to
// see and to say. Arguments: address, port, and the URL by which clients reach it; to speak TLS too, another port, and the files of a
// certificate and its key.
import { createPublicKey, generateKeyPairSync, randomBytes, verify } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';

const [address, port, url, tlsPort, certificate, key] = process.argv.slice(2);
const PROJECT = 'chatplatform-test';
const EMAIL = `push@${PROJECT}.iam.gserviceaccount.com`;
const SCOPE = 'https://www.googleapis.com/auth/firebase.messaging';
const GRANT = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
const TOKEN_URI = `${url}/token`;
/** By how many seconds clocks may differ. */
const LEEWAY = 300;

let keys = new Map(); // kid -> public key
let credentials;
let accessTokens = new Map(); // access token -> when it ends, in milliseconds
let lifetime = 3599; // seconds
let fates = new Map(); // registration token -> error code
let planned = []; // answers to the next messages
const messages = [];
const counts = { tokens: 0, refusedAssertions: 0, sends: 0 };

/** Makes another key of the service account; those before are gone. */
function newCredentials() {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  const kid = randomBytes(20).toString('hex');
  keys = new Map([[kid, createPublicKey(publicKey)]]);
  accessTokens = new Map();
  credentials = {
    type: 'service_account',
    project_id: PROJECT,
    private_key_id: kid,
    private_key: privateKey,
    client_email: EMAIL,
    client_id: '1',
    token_uri: TOKEN_URI,
  };
}

/** What is wrong with an assertion (RFC 7523, section 3), if anything. */
function faultOf(assertion) {
  const parts = assertion.split('.');
  if (parts.length !== 3) return 'not a JWT';
  let header, claims;
  try {
    [header, claims] = parts.slice(0, 2).map((part) => JSON.parse(Buffer.from(part, 'base64url')));
  } catch {
    return 'not a JWT';
  }
  if (header.alg !== 'RS256') return `alg ${header.alg}`;
  const key = keys.get(header.kid);
  if (!key) return 'unknown key';
  if (!verify('RSA-SHA256', Buffer.from(`${parts[0]}.${parts[1]}`), key, Buffer.from(parts[2], 'base64url'))) {
    return 'Invalid JWT Signature.';
  }
  const now = Date.now() / 1000;
  if (claims.iss !== EMAIL) return `iss ${claims.iss}`;
  if (claims.aud !== TOKEN_URI) return `aud ${claims.aud}`;
  if (!`${claims.scope}`.split(' ').includes(SCOPE)) return `scope ${claims.scope}`;
  if (!(claims.iat <= now + LEEWAY)) return 'iat is in the future';
  if (!(claims.exp > now - LEEWAY)) return 'expired';
  if (!(claims.exp - claims.iat <= 3600)) return 'lives longer than an hour';
  return undefined;
}

function grant(request, body) {
  const form = new URLSearchParams(body);
  const type = request.headers['content-type'] ?? '';
  const fault = !type.startsWith('application/x-www-form-urlencoded')
    ? `content-type ${type}`
    : form.get('grant_type') !== GRANT
      ? `grant_type ${form.get('grant_type')}`
      : faultOf(form.get('assertion') ?? '');
  if (fault) {
    counts.refusedAssertions += 1;
    return [400, { error: 'invalid_grant', error_description: fault }];
  }
  const token = `ya29.${randomBytes(24).toString('base64url')}`;
  accessTokens.set(token, Date.now() + lifetime * 1000);
  counts.tokens += 1;
  return [200, { access_token: token, expires_in: lifetime, token_type: 'Bearer' }];
}

/** An error in Google's form. */
function failure(code, status, message, errorCode, field) {
  const details = [];
  if (errorCode) details.push({ '@type': 'type.googleapis.com/google.firebase.fcm.v1.FcmError', errorCode });
  if (field) details.push({ '@type': 'type.googleapis.com/google.rpc.BadRequest', fieldViolations: [{ field, description: message }] });
  return [code, { error: { code, message, status, details } }];
}

const FATES = {
  UNREGISTERED: () => failure(404, 'NOT_FOUND', 'Requested entity was not found.', 'UNREGISTERED'),
  INVALID_ARGUMENT: () =>
    failure(400, 'INVALID_ARGUMENT', 'The registration token is not a valid FCM registration token', 'INVALID_ARGUMENT', 'message.token'),
  SENDER_ID_MISMATCH: () => failure(403, 'PERMISSION_DENIED', 'SenderId mismatch', 'SENDER_ID_MISMATCH'),
};

/** What is wrong with a message, as far as it is looked at here. */
function misfit(message) {
  const known = ['token', 'notification', 'data', 'android', 'apns', 'webpush', 'fcm_options', 'name'];
  const unknown = Object.keys(message ?? {}).find((field) => !known.includes(field));
  if (typeof message !== 'object' || message === null) return 'message';
  if (unknown) return `message.${unknown}`;
  if (typeof message.token !== 'string' || message.token === '') return 'message.token';
  const entry = Object.entries(message.data ?? {}).find(([, value]) => typeof value !== 'string');
  return entry && `message.data.${entry[0]}`;
}

function send(request, project, body) {
  counts.sends += 1;
  const bearer = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1];
  if (!(accessTokens.get(bearer) > Date.now())) return failure(401, 'UNAUTHENTICATED', 'Request had invalid authentication credentials.');
  if (project !== PROJECT) return failure(403, 'PERMISSION_DENIED', `Permission denied on project ${project}`);
  const plan = planned.shift();
  if (plan && !plan.hang) {
    const headers = plan.retryAfter === undefined ? {} : { 'retry-after': plan.retryAfter };
    return [...failure(plan.status, 'UNAVAILABLE', 'as planned', plan.status === 429 ? 'QUOTA_EXCEEDED' : 'UNAVAILABLE'), headers];
  }
  let message;
  try {
    message = JSON.parse(body).message;
  } catch {
    return failure(400, 'INVALID_ARGUMENT', 'Invalid JSON payload received.');
  }
  const fault = misfit(message);
  if (fault) return failure(400, 'INVALID_ARGUMENT', `Invalid value at '${fault}'`, 'INVALID_ARGUMENT', fault);
  const fate = FATES[fates.get(message.token)];
  if (fate) return fate();
  messages.push(message);
  // Taken, but nobody hears of it.
  if (plan?.hang) return undefined;
  return [200, { name: `projects/${project}/messages/${messages.length}` }];
}

/** What tests see and say. */
function control(method, path, body) {
  switch (`${method} ${path}`) {
    case 'GET /control/credentials':
      return [200, credentials];
    case 'POST /control/credentials':
      newCredentials();
      return [200, credentials];
    case 'GET /control/messages':
      return [200, messages];
    case 'GET /control/counts':
      return [200, counts];
    case 'POST /control/fates':
      for (const [token, fate] of Object.entries(JSON.parse(body))) fates.set(token, fate);
      return [200, {}];
    case 'POST /control/answers':
      planned.push(...JSON.parse(body));
      return [200, {}];
    case 'POST /control/lifetime':
      lifetime = JSON.parse(body);
      return [200, {}];
    case 'POST /control/revoke':
      accessTokens = new Map();
      return [200, {}];
    default:
      return [404, { error: `no ${method} ${path}` }];
  }
}

async function handle(request, response) {
  let body = '';
  for await (const chunk of request) body += chunk;
  const sent = /^\/v1\/projects\/([^/]+)\/messages:send$/.exec(request.url);
  let answer;
  if (request.method === 'POST' && request.url === '/token') answer = grant(request, body);
  else if (request.method === 'POST' && sent) answer = send(request, sent[1], body);
  else answer = control(request.method, request.url, body);
  if (!answer) return;
  const [status, content, headers] = answer;
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(content));
}

newCredentials();
createServer(handle).listen(Number(port), address);
if (tlsPort) {
  const options = { cert: readFileSync(certificate), key: readFileSync(key) };
  createTlsServer(options, handle).listen(Number(tlsPort), address);
}
