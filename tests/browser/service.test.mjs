// The recorded answers that other tests are made of have the keys that a real service's have.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { demo } from './support/demo.mjs';
import { ANSWERS } from './support/service.mjs';

let cluster = null;

before(async () => {
  cluster = await demo('quota');
});
after(async () => cluster?.stop());

// Each key with its place; of a list those of its first item. What depends on the moment is left out.
function keys(value, place = '') {
  const SOMETIMES =
    /\.(evidence|until|cloud|events|reserved_on|setback|failed_starts|operation|silent_seconds|types|creates)(\.|$)/;
  if (Array.isArray(value)) return value.length ? keys(value[0], `${place}[]`) : [];
  if (value === null || typeof value !== 'object') return [];
  const inner = Object.entries(value).flatMap(([name, of]) => [`${place}.${name}`, ...keys(of, `${place}.${name}`)]);
  return inner.filter(key => !SOMETIMES.test(key)).sort();
}

async function answer(path) {
  return (await cluster.ask(path)).json();
}

async function waitingContainer() {
  for (;;) {
    const list = await answer('/arvados/v1/dispatch/containers');
    const items = list.items.filter(item => item.explain.reason === 'account_quota');
    if (items.length) return items.at(-1);
    await new Promise(resolve => setTimeout(resolve, 100));
  }
}

test('a list has an item a line', async () => {
  const item = await waitingContainer();
  const text = await (await cluster.ask('/arvados/v1/dispatch/containers')).text();
  const lines = text.split('\n');
  assert.equal(lines[0], '{"items":[');
  assert.equal(lines.at(-1), ']}');
  assert.ok(
    lines
      .slice(1, -1)
      .every(line => JSON.parse(line.replace(/,$/, '')).container.uuid.startsWith(item.container.uuid.slice(0, 12))),
  );
});

test('the recorded answers have the keys of a real service', async () => {
  const item = await waitingContainer();
  assert.deepEqual(keys(ANSWERS.containers.items[0]), keys(item));
  const detail = await answer(`/arvados/v1/dispatch/container?container_uuid=${item.container.uuid}`);
  assert.deepEqual(keys(ANSWERS.container), keys(detail));
  for (const [name, path] of [
    ['instances', '/arvados/v1/dispatch/instances'],
    ['creates', '/arvados/v1/dispatch/creates'],
    ['ready', '/_health/ready'],
  ]) {
    assert.deepEqual(keys(ANSWERS[name]), keys(await answer(path)), name);
  }
  const metrics = await answer('/metrics.json');
  for (const family of ANSWERS.metrics) {
    const real = metrics.find(it => it.name === family.name);
    assert.equal(real?.type, family.type, family.name);
  }
});
