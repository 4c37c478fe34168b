// SPDX-License-Identifier: Apache-2.0

// Writes langtag_subtags.txt, what t/unit/langtag.c expects to be valid: every
// record of IANA's registry, in its order and case, ranges as they stand. It
// shares nothing with src/core/langtag_gen.js, so that a fault there shows.
//
//   npm install --prefix /tmp/registry language-subtag-registry
//   registry=/tmp/registry/node_modules/language-subtag-registry
//   node langtag_subtags.js $registry > langtag_subtags.txt
'use strict';

const folder = require('node:path').resolve(process.argv[2]);
const registry = require(`${folder}/data/json/registry.json`);

console.log('# SPDX-License-Identifier: Apache-2.0');
console.log("# IANA's language subtag registry: type, subtag or tag, prefix of an extlang");
console.log(`# File-Date ${require(`${folder}/data/json/meta.json`)['File-Date']}`);
for (const record of registry) {
    const prefix = record.Type === 'extlang' ? record.Prefix : [];
    console.log([record.Type, record.Subtag ?? record.Tag, ...prefix].join(' '));
}
