// A living cluster: `arvados-dispatch-cloud demo --scenario NAME`.

import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';

export const BINARY = process.env.DISPATCH_BINARY ?? path.resolve('target/debug/arvados-dispatch-cloud');
const SOON = 60_000;

// Starts it, and waits until it says where it is.
export async function demo(scenario, ...options) {
  const child = spawn(BINARY, ['demo', '--scenario', scenario, ...options], { stdio: ['ignore', 'pipe', 'pipe'] });
  const gone = new Promise(resolve => child.once('exit', resolve));
  let said = '';
  child.stderr.on('data', text => {
    said += text;
  });
  try {
    await new Promise((resolve, reject) => {
      const failed = why => reject(new Error(`the demo ${why}: ${said}`));
      const timer = setTimeout(() => failed('says nothing'), SOON);
      child.once('error', error => failed(error.message));
      child.once('exit', code => failed(`has ended with ${code}`));
      child.stdout.on('data', text => {
        said += text;
        if (!said.includes('Ctrl-C ends it')) return;
        clearTimeout(timer);
        resolve();
      });
    });
  } catch (error) {
    child.kill('SIGKILL');
    throw error;
  }
  const url = /management API: (\S+)/.exec(said)[1];
  const token = readFileSync(/token file: +(.+)/.exec(said)[1], 'utf8').trim();
  const ask = (name, options) => fetch(`${url}${name}`, { ...options, headers: { Authorization: `Bearer ${token}` } });
  const stop = async () => {
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), SOON);
    await gone;
    clearTimeout(timer);
  };
  return { url, token, ask, stop };
}

// What the command line says, as people see it.
export function run({ url, token }, ...words) {
  return new Promise((resolve, reject) => {
    const environment = { ...process.env, ARVADOS_MANAGEMENT_TOKEN: token };
    const child = spawn(BINARY, [...words, '--url', url], { env: environment, stdio: ['ignore', 'pipe', 'inherit'] });
    let said = '';
    child.stdout.on('data', text => {
      said += text;
    });
    child.once('error', reject);
    child.once('close', code =>
      code ? reject(new Error(`${words.join(' ')} has ended with ${code}`)) : resolve(said),
    );
  });
}
