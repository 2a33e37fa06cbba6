// The page of a real dispatcher, whose cluster has reached its quota.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { blank, faultsOf, launch, opened, signIn } from './support/browser.mjs';
import { demo } from './support/demo.mjs';

let [cluster, browser] = [null, null];

before(async () => {
  cluster = await demo('quota');
  browser = await launch();
  // Until all four instances work, and the others know that they must wait for them.
  const settled = items => items.filter(it => it.explain.reason === 'account_quota').length >= 8;
  const isBusy = it => it.running_container_uuids.length;
  while (!settled(await first('containers')) || (await first('instances')).filter(isBusy).length < 4) await sleep(200);
});

after(async () => {
  await browser?.close();
  await cluster?.stop();
});

const sleep = milliseconds => new Promise(resolve => setTimeout(resolve, milliseconds));

async function first(name) {
  const { items } = await (await cluster.ask(`/arvados/v1/dispatch/${name}`)).json();
  return items;
}

async function order(name, parameters) {
  const body = new URLSearchParams(parameters);
  const answer = await cluster.ask(`/arvados/v1/dispatch/instances/${name}`, { method: 'POST', body });
  assert.equal(answer.status, 200);
}

test('the shell needs no token, has no data, and may run nothing but its own script', async () => {
  const answer = await fetch(cluster.url);
  assert.equal(answer.status, 200);
  const policy = answer.headers.get('content-security-policy');
  assert.match(policy, /^default-src 'none'; script-src 'sha256-[^']+'; style-src 'sha256-[^']+'; connect-src 'self';/);
  assert.match(policy, /frame-ancestors 'none'.*require-trusted-types-for 'script'/);
  assert.doesNotMatch(await answer.text(), /zzzzz|demo\.small|loopback-/);
});

test('it shows line, fleet, head and events of the cluster', async () => {
  const page = await opened(browser, cluster);
  await page.locator('#fleet .tile').nth(3).waitFor();
  await page.locator('#line [role="option"]').nth(5).waitFor();
  assert.match(await page.locator('#line [role="option"]').first().innerText(), /the cloud account's limit is reached/);
  assert.match(await page.locator('#reasons').innerText(), /account quota/);
  const head = name => page.locator(`#stat-${name}`).innerText();
  assert.match(await head('health'), /OK/);
  assert.match(await head('quota'), /reached\s+all types/);
  assert.match(await head('cost'), /0\.40/);
  assert.match(await head('feed'), /connected/);
  assert.match(await head('lock'), /held/);
  await page.locator('#events [role="option"]').nth(8).waitFor();
  await page.locator('.strip svg[aria-label^="VMs: now 4"]').waitFor();
  assert.deepEqual(page.said, []);
  await page.context().close();
});

test('a change is shown within a second', async () => {
  const page = await opened(browser, cluster);
  await page.locator('#fleet .tile').nth(3).waitFor();
  const [{ instance }] = await first('instances');
  const tile = look => page.locator(`#fleet .tile.${look}[title^="${instance}"]`);
  const took = [];
  // On a machine that others use, too, the best of some counts.
  for (let n = 0; n < 4; n += 1) {
    const began = performance.now();
    await order('hold', { instance_id: instance });
    await tile('hold').waitFor();
    took.push(Math.round(performance.now() - began));
    await order('run', { instance_id: instance });
    await page.locator(`#fleet .tile:not(.hold)[title^="${instance}"]`).waitFor();
  }
  console.log(`# a change was shown after ${took.join(', ')} ms`);
  assert.ok(Math.min(...took) < 1000, took.join());
  await page.context().close();
});

test('a wrong token is told, and shows nothing; the right one then does', async () => {
  const page = await blank(browser);
  await page.goto(cluster.url);
  await signIn(page, 'wrong');
  await page.getByText('The service refuses this token: authorization error.').waitFor();
  assert.equal(await page.locator('#line [role="option"]').count(), 0);
  assert.equal(await page.locator('main').isVisible(), false);
  // The browser itself writes down that it was refused; the page says nothing.
  assert.ok(
    page.said.every(text => text.includes('status of 403')),
    page.said.join(),
  );
  await signIn(page, cluster.token);
  await page.locator('#state.live').waitFor();
  await page.context().close();
});

test('the token is in a header and in the storage of the tab, and nowhere else', async () => {
  const page = await blank(browser);
  const requests = [];
  page.on('request', request => requests.push(request));
  await page.goto(cluster.url);
  await signIn(page, cluster.token);
  await page.locator('#line [role="option"]').first().waitFor();
  const urls = requests.map(request => request.url());
  assert.ok(urls.length > 4 && urls.every(url => url.startsWith(cluster.url)), urls.join('\n'));
  assert.ok(urls.every(url => !url.includes(cluster.token)));
  const stored = await page.evaluate(() => [
    Object.keys(sessionStorage).sort().join(),
    localStorage.length,
    document.cookie,
    location.href,
  ]);
  assert.deepEqual(stored, ['controller-calls,management-token', 0, '', `${cluster.url}/`]);
  assert.equal((await page.content()).includes(cluster.token), false);
  await page.reload();
  await page.locator('#state.live').waitFor();
  await page.click('#sign-out');
  await page.locator('#token').waitFor();
  assert.equal(await page.evaluate(() => sessionStorage.getItem('management-token')), null);
  await page.context().close();
});

test('a container is explained: why it waits, what has to change, and each type', async () => {
  const page = await opened(browser, cluster);
  // Those at the end of the line wait for some seconds yet.
  await page.focus('#line');
  await page.keyboard.press('End');
  await page.keyboard.press('Enter');
  const detail = page.locator('#detail-body');
  await detail.getByText('What has to change').waitFor();
  const text = await detail.innerText();
  assert.match(text, /The cloud account's limit is reached\./);
  assert.match(text, /Instances end, or the account's limit is raised/);
  assert.match(text, /demo\.small.*0\.10/s);
  assert.match(text, /all 4 loopback instances are in use/);
  assert.match(text, /adding container to queue/);
  assert.match(page.url(), /#container=zzzzz-dz642-/);
  await page.keyboard.press('Escape');
  await detail.waitFor({ state: 'hidden' });
  assert.equal(await page.evaluate(() => document.activeElement.id), 'line');
  assert.deepEqual(page.said, []);
  await page.context().close();
});

test('an order wants a reason and a confirmation, and says what comes of it', async () => {
  const page = await opened(browser, cluster);
  const [{ instance }] = await first('instances');
  const standing = async () => (await first('instances')).find(it => it.instance === instance);
  await page.locator(`#fleet .tile[title^="${instance}"]`).click();
  await page.getByRole('button', { name: 'Hold', exact: true }).click();
  await page.getByRole('button', { name: 'Cancel' }).click();
  await page.getByRole('button', { name: 'Hold', exact: true }).click();
  await page.getByRole('button', { name: 'Hold it' }).click();
  assert.equal(await page.locator('#order').isVisible(), true, 'there is no reason yet');
  assert.equal((await standing()).idle_behavior, 'run');
  await page.locator('#order-reason').fill('looking at its disk');
  await page.locator('#order-by').fill('alice');
  await page.getByRole('button', { name: 'Hold it' }).click();
  await page.locator('#order').waitFor({ state: 'hidden' });
  const held = await standing();
  assert.deepEqual(
    [held.idle_behavior, held.idle_behavior_by, held.idle_behavior_reason],
    ['hold', 'alice', 'looking at its disk'],
  );
  await page.locator('#detail-body').getByText('hold, by alice').waitFor();

  // Whoever drains what is on hold is told of the hold.
  await page.getByRole('button', { name: 'Drain', exact: true }).click();
  assert.match(await page.locator('#order-warning').innerText(), /alice has put it on hold: “looking at its disk”/);
  await page.locator('#order-reason').fill('done');
  await page.getByRole('button', { name: 'Drain it' }).click();
  await page.locator('#order').waitFor({ state: 'hidden' });
  assert.notEqual((await standing())?.idle_behavior, 'hold');
  assert.deepEqual(page.said, []);
  await page.context().close();
});

test('what is killed ends, and by whose order is told', async () => {
  const page = await opened(browser, cluster);
  await page.locator('#fleet .tile.busy').first().click();
  const id = await page.locator('#detail-body .subject').innerText();
  await page.getByRole('button', { name: 'Kill', exact: true }).click();
  await page.locator('#order-reason').fill('a test');
  await page.getByRole('button', { name: 'Kill it' }).click();
  await page.locator('#detail-body').getByText('It is ending.').waitFor();
  assert.equal((await first('instances')).find(it => it.instance === id)?.worker_state ?? 'shutdown', 'shutdown');
  await page.locator('#detail-body').getByText('ordered by an operator').first().waitFor();
  assert.deepEqual(page.said, []);
  await page.context().close();
});

test('everything can be done by the keyboard alone', async () => {
  const page = await blank(browser);
  await page.goto(cluster.url);
  const press = (...keys) =>
    keys.reduce((before, key) => before.then(() => page.keyboard.press(key)), Promise.resolve());
  await page.keyboard.type(cluster.token);
  await press('Enter');
  await page.locator('#fleet .tile').nth(3).waitFor();
  await press('/');
  await page.keyboard.type('loopback');
  await page.getByText('of 4 VMs').waitFor({ state: 'hidden' });
  await press('Escape');
  // From the search on by Tab alone, until the fleet has the focus.
  for (let n = 0; n < 40 && (await page.evaluate(() => document.activeElement.id)) !== 'fleet'; n += 1)
    await press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'fleet');
  await press('ArrowRight', 'ArrowRight', 'ArrowLeft');
  const meant = await page.locator('#fleet [aria-selected="true"]').getAttribute('title');
  assert.equal(await page.locator('#fleet').getAttribute('aria-activedescendant'), 'fleet-1');
  await press('Enter');
  await page.locator('#detail-body .orders').waitFor();
  const id = await page.locator('#detail-body .subject').innerText();
  assert.ok(meant.startsWith(id), `${meant} ${id}`);
  // The button to close it has the focus; the orders come after it.
  await press('Tab', 'Tab', 'Enter');
  await page.keyboard.type('by keyboard');
  await press('Tab', 'Tab', 'Tab', 'Enter');
  await page.locator('#order').waitFor({ state: 'hidden' });
  const held = (await first('instances')).find(it => it.instance === id);
  assert.equal(held.idle_behavior_reason, 'by keyboard');
  await press('Escape');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'fleet');
  await order('run', { instance_id: id });
  assert.deepEqual(page.said, []);
  await page.context().close();
});

for (const theme of ['light', 'dark']) {
  for (const width of [1440, 400]) {
    test(`axe finds nothing wrong, ${theme}, ${width} pixels wide`, async () => {
      const page = await blank(browser, { width, theme });
      await page.goto(cluster.url);
      await page.locator('#token').waitFor();
      assert.deepEqual(await faultsOf(page), [], 'the question for the token');
      await signIn(page, cluster.token);
      await page.locator('#line [role="option"]').first().waitFor();
      assert.deepEqual(await faultsOf(page), [], 'the lists');
      for (const name of width < 720 ? ['fleet', 'time', 'events'] : []) {
        await page.locator(`#tabs [data-section="${name}"]`).click();
        assert.deepEqual(await faultsOf(page), [], name);
      }
      await page.locator('#stat-quota').click();
      await page.locator('#detail-body table').waitFor();
      assert.deepEqual(await faultsOf(page), [], 'the details of the cluster');
      await page.keyboard.press('Escape');
      if (width < 720) await page.locator('#tabs [data-section="fleet"]').click();
      await page.locator('#fleet .tile').first().click();
      await page.locator('#detail-body .orders').waitFor();
      await page.getByRole('button', { name: 'Kill', exact: true }).click();
      assert.deepEqual(await faultsOf(page), [], 'a VM and the question for the reason');
      await page.context().close();
    });
  }
}
