// SPDX-License-Identifier: Apache-2.0
//
// What others say of language tags: a line for each on standard input, answered by the errors of
// language-tags, numbers joined by commas, or "-"; and 1 or 0, whether bcp-47 finds it well formed.
'use strict';

const fs = require('fs');
const path = require('path');

const modules = path.resolve('build/openapi/node_modules');

async function main() {
    let tags, parse;
    try {
        tags = require(path.join(modules, 'language-tags'));
        ({ parse } = await import(path.join(modules, 'bcp-47/index.js')));
    } catch {
        process.exit(77);
    }
    const out = fs.readFileSync(0, 'latin1').split('\n').slice(0, -1).map((tag) => {
        const errors = [...new Set(tags(tag).errors().map((error) => error.code))];
        const parsed = parse(tag, { normalize: false });
        const whole = parsed.language || parsed.privateuse.length || parsed.irregular
            || parsed.regular;
        return `${errors.join(',') || '-'} ${whole ? 1 : 0}`;
    });
    process.stdout.write(out.join('\n') + '\n');
}

main();
