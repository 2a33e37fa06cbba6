// Debian's Chromium, and what a page said while it was open.

import { createRequire } from 'node:module';
import { mkdirSync } from 'node:fs';
import path from 'node:path';

// The packages are installed below target, so that no file of others lies between ours (scripts/test).
const modules = process.env.DISPATCH_BROWSER_MODULES ?? path.resolve('target/browser');
const load = createRequire(path.join(modules, 'package.json'));
const { chromium } = load('playwright-core');
const axeSource = load('axe-core').source;

const OPTIONS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

// Where pictures are written.
export const PICTURES = process.env.DISPATCH_PICTURES ?? path.resolve('target/browser/pictures');

export async function launch() {
  mkdirSync(PICTURES, { recursive: true });
  return chromium.launch({ executablePath: process.env.DISPATCH_CHROMIUM ?? '/usr/bin/chromium', args: OPTIONS });
}

// An empty page. `page.said` has what it wrote to the console as a warning or an error, and what it threw.
export async function blank(browser, { width = 1440, height = 900, theme = 'light', ...more } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: theme, ...more });
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  page.said = [];
  page.on('console', message => ['error', 'warning'].includes(message.type()) && page.said.push(message.text()));
  page.on('pageerror', error => page.said.push(`${error.name}: ${error.message}`));
  await page.addInitScript(() => {
    // When the first container was there, in milliseconds.
    const look = () => {
      if (document.querySelector('#line [role="option"]')) globalThis.firstPicture = performance.now();
      else requestAnimationFrame(look);
    };
    look();
  });
  return page;
}

// The page with the cluster in it.
export async function opened(browser, { url, token }, options) {
  const page = await blank(browser, options);
  await page.goto(url);
  await signIn(page, token);
  await page.locator('#state.live').waitFor();
  return page;
}

export async function signIn(page, token) {
  await page.fill('#token', token);
  await page.press('#token', 'Enter');
}

// The longest task of the page's main thread while something is done, in milliseconds of its CPU time: what it waits for a
// processor that others use is not its own.
export async function longestTask(browser, page, does) {
  await browser.startTracing(page, { categories: ['toplevel', 'disabled-by-default-devtools.timeline', '__metadata'] });
  await does();
  const { traceEvents: events } = JSON.parse(await browser.stopTracing());
  const thread = event => `${event.pid} ${event.tid}`;
  const isMain = event => event.name === 'thread_name' && event.args.name === 'CrRendererMain';
  const mains = new Set(events.filter(isMain).map(thread));
  const tasks = events.filter(event => mains.has(thread(event)) && event.name.endsWith('RunTask') && event.tdur);
  if (!tasks.length) throw new Error('the trace has no tasks');
  return Math.max(...tasks.map(task => task.tdur)) / 1000;
}

// What axe finds wrong, in a line each.
export async function faultsOf(page) {
  // The page's own policy lets nobody run a script in it: axe is run beside it, by the debugger.
  await page.evaluate(axeSource);
  const { violations } = await page.evaluate(() => axe.run(document, { resultTypes: ['violations'] }));
  return violations.flatMap(it => it.nodes.map(node => `${it.id}: ${node.target} ${node.failureSummary}`));
}
