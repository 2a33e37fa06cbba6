// Texts that users, VMs and operators write are shown as they are, wherever they stand, and do nothing.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, opened } from './support/browser.mjs';
import { demo } from './support/demo.mjs';
import { TOKEN, container, instance, service, uuidOf } from './support/service.mjs';

const ATTACKS = [
  '<img src=x onerror="globalThis.struck=1">',
  '"><script>globalThis.struck=1</script>',
  "'-globalThis.struck=1-'",
  'javascript:globalThis.struck=1',
  '</script><svg onload=globalThis.struck=1>',
  '{{constructor.constructor("globalThis.struck=1")()}}',
  '\u202egnp.exe \u0000\u001b[2J',
];
const ALL = ATTACKS.join(' ');

let [shell, browser, cluster] = [null, null, null];

before(async () => {
  shell = await demo('calm');
  browser = await launch();
  cluster = await service(shell.url);
});

after(async () => {
  await browser?.close();
  await cluster?.close();
  await shell?.stop();
});

// The same answer with the attacks in place of each text that is not a name of the program's own.
function hostile(value, key = '') {
  const OURS = new Set([
    'uuid',
    'state',
    'reason',
    'created_at',
    'first_seen_at',
    'appeared_at',
    'last_busy',
    'worker_state',
    'idle_behavior',
    'time',
    'level',
    'boot',
    'instance',
  ]);
  if (typeof value === 'string') return OURS.has(key) ? value : ALL;
  if (Array.isArray(value)) return value.map(item => (typeof item === 'string' ? ALL : hostile(item)));
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([name, of]) => [name, hostile(of, name)]));
}

function fill() {
  const evidence = { instance_type: ALL, cause: ALL, error: ALL };
  const setback = { cause: ALL, failures: 2, at: ALL, until: ALL, error: ALL };
  const explain = {
    ...hostile(container(0).explain),
    evidence,
    setback,
    reason: 'set_back',
    failed_starts: { count: 1, instance: ALL, at: ALL, error: ALL },
    operation: { kind: ALL, reason: ALL, call: ALL },
    undecodable: ALL,
    instances: [ALL],
  };
  cluster.containers = [
    hostile(container(0, { explain: { ...explain, instances: [] } })),
    container(1, {
      container: { container_image: ALL, state: 'Queued' },
      scheduling_status: ALL,
      explain: { ...explain, reason: ALL, instances: [] },
    }),
    container(2, { container: { state: 'Locked' }, explain }),
  ];
  cluster.instances = [
    hostile(instance(0)),
    { ...hostile(instance(1)), instance: ALL, idle_behavior: 'hold', running_container_uuids: [uuidOf(2)] },
    { ...hostile(instance(2)), instance: `i-${ATTACKS[0]}`, worker_state: ALL, idle_behavior: ALL },
  ];
  cluster.explained = hostile(cluster.explained);
  cluster.explained.explain.types = [
    { Name: ALL, Price: 1, excluded: ALL },
    { Name: ALL, Price: 1, excluded: null, creates: { state: ALL, because: ALL, cloud: { code: ALL, message: ALL } } },
  ];
  cluster.explained.explain.ahead = { count: 2, nearest: [ALL, ALL] };
  cluster.explained.explain.reserved_on = { instance: ALL, worker_state: ALL, idle_behavior: ALL, age_seconds: 3 };
  cluster.creates = hostile(cluster.creates);
  cluster.creates.pauses = [{ scope: ALL, since: ALL, until: ALL, by: ALL, reason: ALL }];
  cluster.creates.drained = [{ instance_type: ALL, since: ALL, by: ALL, reason: ALL }];
  cluster.ready = {
    ...cluster.ready,
    ready: false,
    errors: [ALL],
    checks: { ...cluster.ready.checks, [ALL]: { ok: false, error: ALL }, own_side: { ok: false, error: ALL } },
  };
  for (const level of ['info', 'warning', 'error', ALL]) {
    cluster.tell(
      ALL,
      { ContainerUUID: ALL, Instance: ALL, error: ALL, stderr: ALL, Reason: ALL, By: ALL, [ALL]: ALL },
      level,
    );
    cluster.tell('boot failed', { Instance: 'i-00000000000000000', InstanceType: ALL, stderr: ALL, Hint: ALL });
  }
}

// Nothing ran, no element was made of a text, and the attacks can be read.
async function assertHarmless(page, where) {
  const found = await page.evaluate(() => ({
    struck: globalThis.struck,
    made: [
      ...document.querySelectorAll(
        'body img, body iframe, body object, body [onerror], body [onload], body a[href], body script:not([type])',
      ),
    ].map(it => it.outerHTML),
    text: document.body.innerText,
  }));
  assert.deepEqual([found.struck, found.made], [undefined, []], where);
  assert.ok(found.text.includes(ATTACKS[0]), `${where}: ${ATTACKS[0]} is shown as it is`);
}

test('attacks in every text of an answer stay texts', async () => {
  fill();
  const page = await opened(browser, { url: cluster.url, token: TOKEN });
  await page.locator('#events [role="option"]').nth(7).waitFor();
  await page.locator('#line [role="option"]').nth(1).waitFor();
  await page.locator('#fleet .tile').nth(2).waitFor();
  await page.locator('#stat-health.bad').waitFor();
  await assertHarmless(page, 'the lists');
  for (const [pane, number] of [
    ['line', 0],
    ['line', 1],
    ['fleet', 0],
    ['fleet', 1],
    ['fleet', 2],
    ['events', 0],
    ['events', 1],
    ['events', 7],
  ]) {
    await page.locator(`#${pane}-${number}`).click();
    await page.locator('#detail-body .answer').waitFor();
    await assertHarmless(page, `${pane} ${number}`);
    await page.keyboard.press('Escape');
  }
  await page.locator('#stat-health').click();
  await page.locator('#detail-body table').waitFor();
  await assertHarmless(page, 'the details of the cluster');
  await page.keyboard.press('Escape');
  // The browser notes that 503 is no success; nothing was refused by the policy, and nothing was thrown.
  assert.deepEqual(
    page.said.filter(text => !text.includes('status of 503')),
    [],
  );
  await page.context().close();
});

test('attacks in a refusal, an order and a search stay texts', async () => {
  fill();
  cluster.noOrder = ALL;
  const page = await opened(browser, { url: cluster.url, token: TOKEN });
  await page.locator('#fleet-1').click();
  await page.getByRole('button', { name: 'Kill', exact: true }).click();
  await page.locator('#order-reason').fill(ATTACKS[0]);
  await page.locator('#order-by').fill(ATTACKS[1]);
  await page.getByRole('button', { name: 'Kill it' }).click();
  await page.locator('#order-error').getByText('It was not done').waitFor();
  await assertHarmless(page, 'the question for the reason');
  assert.equal(cluster.orders.at(-1).reason, ATTACKS[0]);
  await page.getByRole('button', { name: 'Cancel' }).click();
  await page.keyboard.press('Escape');
  await page.fill('#search', 'IMG src=x');
  await assertHarmless(page, 'the search');
  await page.goto(`${cluster.url}#instance=${encodeURIComponent(ATTACKS[0])}`);
  await page.locator('#detail-body .subject').waitFor();
  await assertHarmless(page, 'the address');
  cluster.refusal = { status: 403, text: ALL };
  await page.locator('#sign-in-error').getByText('The service refuses this token').waitFor();
  await assertHarmless(page, 'the refusal');
  assert.deepEqual(
    page.said.filter(text => !/status of (503|403|409)/.test(text)),
    [],
  );
  await page.context().close();
});
