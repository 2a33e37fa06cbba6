// What the page says when the service does not answer, is another one, or is not well.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, opened } from './support/browser.mjs';
import { demo } from './support/demo.mjs';
import { TOKEN, container, instance, service } from './support/service.mjs';

let [shell, browser] = [null, null];

before(async () => {
  shell = await demo('calm');
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await shell?.stop();
});

async function withCluster(does) {
  const cluster = await service(shell.url);
  cluster.containers = [container(0), container(1)];
  cluster.instances = [instance(0)];
  cluster.tell('instance appeared in cloud', { Instance: cluster.instances[0].instance });
  const page = await opened(browser, { url: cluster.url, token: TOKEN });
  await page.locator('#line [role="option"]').nth(1).waitFor();
  try {
    await does(page, cluster);
  } finally {
    await page.context().close();
    await cluster.close();
  }
}

test('data that is old is said to be old, and the page comes back by itself where it was', async () => {
  await withCluster(async (page, cluster) => {
    await cluster.close();
    await page.locator('#state.old').getByText('trying again').waitFor();
    assert.match(
      await page.locator('#state').innerText(),
      /^data of \d+ s ago: the service does not answer; trying again$/,
    );
    assert.match(await page.locator('#announcement').textContent(), /^The data is old/);
    assert.match(await page.title(), /^\(old\)/);
    assert.equal(await page.locator('#line [role="option"]:visible').count(), 2, 'what was known is still shown');
    cluster.containers.push(container(2));
    cluster.tell('adding container to queue', { ContainerUUID: cluster.containers[2].container.uuid });
    cluster.asked.length = 0;
    await cluster.back();
    await page.locator('#state.live').waitFor();
    await page.locator('#line [role="option"]').nth(2).waitFor();
    const events = cluster.asked.filter(url => url.includes('events'));
    assert.match(events[0], /since=1&boot=b0b0&follow=1$/, 'it goes on after the last event that it has');
    assert.equal(await page.locator('#events [role="option"]:visible').count(), 2);
  });
});

test('a standby says so', async () => {
  await withCluster(async (page, cluster) => {
    cluster.refusal = { status: 503, text: 'standby: this dispatcher does not hold the lock' };
    await page.locator('#state.old').getByText('this dispatcher does not hold the lock').waitFor();
  });
});

test('trouble of the service, pauses and a lost feed are in the head, with a sign and not by colour alone', async () => {
  await withCluster(async (page, cluster) => {
    const checks = { ...cluster.ready.checks, event_feed: { connected: false, silent_seconds: null } };
    cluster.ready = { ready: false, checks, errors: ['no poll of the controller has succeeded for 60 s (limit 8 s)'] };
    cluster.creates.pauses = [
      { scope: 'all', since: '', until: '2099-01-01T00:00:00Z', by: 'alice', reason: 'the image is renewed' },
    ];
    cluster.tell('creates are paused by an operator', { By: 'alice' }, 'warning');
    const head = name => page.locator(`#stat-${name}`);
    await head('pauses').getByText('the image is renewed').waitFor();
    await page.locator('#stat-health.bad').waitFor();
    assert.match(await head('health').innerText(), /trouble\s+no poll of the controller has succeeded for 60 s/);
    assert.match(await head('feed').innerText(), /lost\s+the queue is polled/);
    const sign = await page.evaluate(
      () => getComputedStyle(document.querySelector('#stat-health b'), '::before').content,
    );
    assert.match(sign, /■/);
    await page.locator('#trouble').click();
    assert.equal(await page.locator('#events [role="option"]:visible').count(), 1, 'warnings alone');
  });
});

test('a list that changes while it is read keeps the cursor, the focus and the place', async () => {
  await withCluster(async (page, cluster) => {
    cluster.containers = Array.from({ length: 300 }, (_, n) => container(n));
    cluster.tell('adding container to queue');
    await page.getByText('300 waiting').waitFor();
    await page.focus('#line');
    for (let n = 0; n < 40; n += 1) await page.keyboard.press('ArrowDown');
    const meant = await page.locator('#line [aria-selected="true"]').getAttribute('title');
    cluster.containers.splice(0, 5);
    cluster.tell('container finished -- dropping from queue');
    await page.getByText('295 waiting').waitFor();
    assert.equal(await page.evaluate(() => document.activeElement.id), 'line');
    assert.equal(await page.locator('#line [aria-selected="true"]').getAttribute('title'), meant);
    // Who reads further down in the events is not moved by those that come.
    for (let n = 0; n < 60; n += 1) cluster.tell('lock succeeded', { n });
    await page.getByText('63 events').waitFor();
    await page.locator('#events').evaluate(it => {
      it.scrollTop = 920;
    });
    await page.waitForTimeout(100);
    for (let n = 0; n < 10; n += 1) cluster.tell('lock succeeded', { n });
    await page.getByText('73 events').waitFor();
    assert.equal(await page.locator('#events').evaluate(it => it.scrollTop), 920 + 10 * 46);
    assert.deepEqual(page.said, []);
  });
});

test('a VM says why it is renewed or kept, or that its turn has not come', async () => {
  await withCluster(async (page, cluster) => {
    const cases = [
      [{}, null],
      [{ drifted: true }, 'it would be made otherwise today; its turn has not come'],
      [{ drifted: true, renewal: 'drift' }, 'being renewed: it would be made otherwise today'],
      [{ renewal: 'age' }, 'being renewed: it is older than MaxInstanceAge'],
      [{ spare: true }, 'kept as a spare one (IdleReserve)'],
      [{ spot_notice: 'terminate at noon' }, 'terminate at noon'],
    ];
    cluster.instances = cases.map(([more], n) => instance(n, more));
    cluster.tell('instance appeared in cloud', { Instance: cluster.instances[5].instance });
    for (const [n, [, words]] of cases.entries()) {
      await page.locator(`#fleet .tile[title^="${cluster.instances[n].instance}"]`).click();
      await page.locator('#detail-body .subject').getByText(cluster.instances[n].instance).waitFor();
      const text = await page.locator('#detail-body').innerText();
      assert.match(text, /Launched/);
      if (words) assert.ok(text.includes(words), text);
      else assert.doesNotMatch(text, /Renewal|Reserve|The cloud says/);
    }
    assert.deepEqual(page.said, []);
  });
});
