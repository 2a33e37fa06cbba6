// A service whose cluster is in the test's hands: as large, as broken or as hostile as no demo can be.
//
// Its page and the headers of it are a real service's. Its answers are made of recorded ones (answers.json), and a test
// holds the keys of those against a real service (service.test.mjs).

import { readFileSync } from 'node:fs';
import http from 'node:http';

export const TOKEN = 'a token for tests';
export const ANSWERS = JSON.parse(readFileSync(new URL('answers.json', import.meta.url), 'utf8'));
const API = '/arvados/v1/dispatch/';

const copy = value => structuredClone(value);

// A container that waits for the quota. `more` is put over the recorded item.
export function container(number, { explain = {}, resources = {}, ...more } = {}) {
  const item = copy(ANSWERS.containers.items[0]);
  Object.assign(item.container, { uuid: uuidOf(number), created_at: ago(60 + number) }, more.container);
  Object.assign(item.instance_resources, resources);
  Object.assign(item.explain, { position: number + 1 }, explain);
  return Object.assign(item, { first_seen_at: ago(60 + number) }, { ...more, container: item.container });
}

export function instance(number, more = {}) {
  return {
    ...copy(ANSWERS.instances.items[0]),
    instance: `i-${String(number).padStart(17, '0')}`,
    appeared_at: ago(600 + number),
    last_busy: ago(30),
    last_container_uuid: '',
    running_container_uuids: [],
    worker_state: 'idle',
    ...more,
  };
}

export const uuidOf = number => `zzzzz-dz642-${String(number).padStart(15, '0')}`;
export const ago = seconds => new Date(Date.now() - seconds * 1000).toISOString();

export async function service(pageOf) {
  const page = await fetch(pageOf);
  const text = await page.text();
  const cluster = {
    containers: [],
    instances: [],
    creates: copy(ANSWERS.creates),
    ready: copy(ANSWERS.ready),
    metrics: copy(ANSWERS.metrics),
    // What one container is explained with.
    explained: copy(ANSWERS.container),
    events: [],
    orders: [],
    refusal: null,
    asked: [],
  };
  const followers = new Set();
  const headers = Object.fromEntries(
    [...page.headers].filter(([name]) => name.includes('policy') || name === 'content-type'),
  );

  const answers = {
    containers: () => listed(cluster.containers),
    instances: () => listed(cluster.instances),
    creates: () => JSON.stringify(cluster.creates),
    container: query => explained(query.get('container_uuid')),
  };

  function explained(uuid) {
    const found = cluster.containers.find(item => item.container.uuid === uuid);
    const explain = { ...cluster.explained.explain, ...found?.explain };
    return found && JSON.stringify({ ...cluster.explained, ...found, explain });
  }

  function follow(query, response) {
    response.writeHead(200, { 'content-type': 'application/x-ndjson' });
    const id = query.get('instance_id');
    const told = cluster.events.filter(
      event => event.seq > Number(query.get('since') ?? 0) && (!id || event.Instance === id),
    );
    response.write(told.map(line).join(''));
    if (!query.get('follow')) return response.end();
    followers.add(response);
    return response.once('close', () => followers.delete(response));
  }

  function answer(request, response) {
    const { pathname, searchParams } = new URL(request.url, 'http://localhost');
    if (pathname === '/') return response.writeHead(200, headers).end(text);
    cluster.asked.push(request.url);
    const shown = request.headers.authorization;
    if (shown !== `Bearer ${TOKEN}`)
      return json(response, shown ? 403 : 401, { errors: [shown ? 'authorization error' : 'authorization required'] });
    if (cluster.refusal) return json(response, cluster.refusal.status, { errors: [cluster.refusal.text] });
    if (pathname === '/_health/ready') return json(response, cluster.ready.ready ? 200 : 503, cluster.ready);
    if (pathname === '/metrics.json') return json(response, 200, cluster.metrics);
    const name = pathname.slice(API.length);
    if (request.method === 'POST') return take(request, response, name);
    if (name === 'events') return follow(searchParams, response);
    const body = answers[name]?.(searchParams);
    if (!body) return json(response, 404, { errors: ['container not found'] });
    return response.writeHead(200, { 'content-type': 'application/json' }).end(body);
  }

  function take(request, response, name) {
    let body = '';
    request.on('data', chunk => {
      body += chunk;
    });
    request.on('end', () => {
      cluster.orders.push({ name, ...Object.fromEntries(new URLSearchParams(body)) });
      if (cluster.noOrder) return json(response, 409, { errors: [cluster.noOrder] });
      return response.writeHead(200).end();
    });
  }

  // Tells an event to those who follow.
  function tell(msg, facts = {}, level = 'info') {
    const event = { seq: cluster.events.length + 1, boot: 'b0b0', time: ago(0), level, msg, ...facts };
    cluster.events.push(event);
    for (const follower of followers) follower.write(line(event));
  }

  const server = http.createServer(answer);
  const listen = port => new Promise(resolve => server.listen(port, '127.0.0.1', () => resolve(server.address().port)));
  const close = () =>
    new Promise(resolve => {
      server.close(resolve);
      server.closeAllConnections();
    });
  const port = await listen(0);
  return Object.assign(cluster, {
    url: `http://127.0.0.1:${port}/`,
    token: TOKEN,
    tell,
    close,
    back: () => listen(port),
  });
}

const line = event => `${JSON.stringify(event)}\n`;

function listed(items) {
  return `{"items":[\n${items.map(item => JSON.stringify(item)).join(',\n')}\n]}`;
}

function json(response, status, value) {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}
