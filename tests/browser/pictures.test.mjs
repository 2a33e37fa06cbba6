// Pictures of the page, for people: three sizes, two themes, and those of the README.
//
// They are written to target/browser/pictures; with DISPATCH_WRITE_PICTURES=1 those of the README to docs/pictures, too.

import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { PICTURES, blank, launch, opened, signIn } from './support/browser.mjs';
import { demo, run } from './support/demo.mjs';

const SIZES = { wide: [1440, 900], middle: [900, 1100], narrow: [400, 800] };
// More of them take longer to boot than a test need wait for.
const INSTANCES = process.env.DISPATCH_WRITE_PICTURES ? 10 : 6;
// Small enough for a repository.
const LARGEST = 250_000;

let [cluster, browser] = [null, null];

before(async () => {
  cluster = await demo('quota', '--instances', String(INSTANCES));
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await cluster?.stop();
});

async function items(name) {
  return (await (await cluster.ask(`/arvados/v1/dispatch/${name}`)).json()).items;
}

// Until the cluster has a past worth looking at: it works, VMs wait for work, and one is on hold.
async function settled(page) {
  await page
    .locator('#fleet .tile')
    .nth(INSTANCES - 1)
    .waitFor();
  await page
    .locator('#fleet .tile.busy')
    .nth(INSTANCES - 3)
    .waitFor({ timeout: 60_000 });
  const [, { instance }] = await items('instances');
  const body = new URLSearchParams({ instance_id: instance, reason: 'looking at its disk', by: 'alice' });
  await cluster.ask('/arvados/v1/dispatch/instances/hold', { method: 'POST', body });
  await page.locator('#fleet .tile.hold').waitFor();
  await page.waitForTimeout(Number(process.env.DISPATCH_PICTURES_AFTER ?? 2000));
}

function ofReadme(name) {
  const file = path.join(PICTURES, name);
  assert.ok(statSync(file).size < LARGEST, `${name} has ${statSync(file).size} bytes`);
  if (!process.env.DISPATCH_WRITE_PICTURES) return;
  mkdirSync('docs/pictures', { recursive: true });
  copyFileSync(file, path.join('docs/pictures', name));
}

test('pictures are taken in three sizes and two themes, and nothing is wider than its window', async () => {
  const first = await opened(browser, cluster);
  await settled(first);
  await first.context().close();
  for (const [size, [width, height]] of Object.entries(SIZES)) {
    for (const theme of ['light', 'dark']) {
      const page = await opened(browser, cluster, { width, height, theme });
      await page.locator('#line [role="option"]').nth(8).waitFor();
      await page.waitForTimeout(500);
      const take = name => page.screenshot({ path: path.join(PICTURES, `${size}-${theme}-${name}.png`) });
      await take('lists');
      assert.equal(
        await page.evaluate(() => document.documentElement.scrollWidth > innerWidth),
        false,
        `${size} ${theme}`,
      );
      for (const name of size === 'narrow' ? ['fleet', 'time', 'events'] : []) {
        await page.locator(`#tabs [data-section="${name}"]`).click();
        await page.waitForTimeout(200);
        await take(name);
      }
      if (size === 'narrow') await page.locator('#tabs [data-section="line"]').click();
      // The last one waits for long enough.
      await page.focus('#line');
      await page.keyboard.press('End');
      await page.keyboard.press('Enter');
      await page.locator('#detail-body .answer').waitFor();
      await take('container');
      await page.keyboard.press('Escape');
      if (size === 'narrow') await page.locator('#tabs [data-section="fleet"]').click();
      await page.locator('#fleet .tile.hold').click();
      await page.getByRole('button', { name: 'Drain', exact: true }).click();
      await take('order');
      assert.deepEqual(page.said, []);
      await page.context().close();
    }
  }
});

test('the question for the token has its picture, too', async () => {
  const page = await blank(browser);
  await page.goto(cluster.url);
  await signIn(page, 'wrong');
  await page.locator('#sign-in-error').getByText('refuses').waitFor();
  await page.screenshot({ path: path.join(PICTURES, 'wide-light-token.png') });
  await page.context().close();
});

test('the README has the page in a small picture', async () => {
  const page = await opened(browser, cluster, { width: 1260, height: 700 });
  await page.locator('#line [role="option"]').nth(8).waitFor();
  // Two numbers of calls are needed to tell how many come in a second.
  await page.locator('.strip svg[aria-label^="Controller calls: now"]:not([aria-label*="now …"])').waitFor();
  await page.screenshot({ path: path.join(PICTURES, 'page.png') });
  await page.context().close();
  ofReadme('page.png');
});

test('and what the command line says of a container', async () => {
  const waiting = (await items('containers')).filter(item => item.explain.reason === 'account_quota');
  const { uuid } = waiting.at(-1).container;
  const said = await run(cluster, 'container', 'explain', uuid);
  assert.match(said, /what has to change/);
  const page = await blank(browser, { width: 1000, height: 400 });
  await page.setContent(`<style>
    body { margin: 0; background: #14181e; color: #dfe5ec; font: 13px/1.55 "DejaVu Sans Mono", monospace; }
    main { padding: 16px 18px; white-space: pre-wrap; }
    p { margin: 0; padding-left: 20ch; text-indent: -20ch; }
    p:first-child { color: #7fb0ff; }
  </style><main></main>`);
  const place = page.locator('main');
  const lines = [`$ arvados-dispatch-cloud container explain ${uuid}`, ...said.trimEnd().split('\n')];
  await place.evaluate(
    (it, texts) => it.append(...texts.map(text => Object.assign(document.createElement('p'), { textContent: text }))),
    lines,
  );
  await place.screenshot({ path: path.join(PICTURES, 'explain.png') });
  await page.context().close();
  ofReadme('explain.png');
});
