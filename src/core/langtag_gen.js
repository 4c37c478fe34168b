// SPDX-License-Identifier: Apache-2.0

// Writes langtag_data.c: IANA's language subtag registry as C tables. It is run
// by hand when the registry has changed, never by the build:
//
//   npm install --prefix /tmp/registry language-subtag-registry
//   node langtag_gen.js /tmp/registry/node_modules/language-subtag-registry > langtag_data.c
//
// Two-letter and three-letter subtags become sets of bits, as most combinations
// of letters are taken; the rest become sorted lists for a binary search.
// Whatever the C code has no place for is an error here, not a subtag lost.
'use strict';

const fs = require('node:fs');
const path = require('node:path');

const A = 'a'.charCodeAt(0);
const COLUMNS = 100;

function fail(message) {
    process.stderr.write(`langtag_gen.js: ${message}\n`);
    process.exit(1);
}

function readRegistry(folder) {
    const read = (name) =>
        JSON.parse(fs.readFileSync(path.join(folder, 'data/json', name), 'utf8'));
    const date = read('meta.json')['File-Date'];
    if (!/^\d{4}-\d{2}-\d{2}$/.test(date)) fail(`no File-Date in ${folder}`);
    return { date, records: read('registry.json') };
}

// "qaa..qtz" → qaa, qab, … qtz (RFC 5646 3.1.2: letters only, counted like digits)
function expand(subtag) {
    const [first, last] = subtag.toLowerCase().split('..');
    if (last === undefined) return [first];
    if (!/^[a-z]+$/.test(first + last) || first.length !== last.length || first > last)
        fail(`cannot expand the range ${subtag}`);
    const all = [first];
    for (let at = first; at !== last; all.push(at)) {
        const end = at.search(/z*$/) - 1;
        const next = String.fromCharCode(at.charCodeAt(end) + 1);
        at = at.slice(0, end) + next + 'a'.repeat(at.length - end - 1);
    }
    return all;
}

function subtagsOf(records, type, pattern) {
    const all = records.filter((r) => r.Type === type).flatMap((r) => expand(r.Subtag)).sort();
    const strange = all.find((subtag) => !pattern.test(subtag));
    if (strange !== undefined) fail(`${type} ${strange} has a form that langtag.c does not know`);
    if (new Set(all).size !== all.length) fail(`a ${type} is registered twice`);
    if (all.length === 0) fail(`no ${type} in the registry`);
    return all;
}

// For each combination of letters but the last, the set of last letters as 26 bits.
function bitSets(subtags, length) {
    const sets = new Array(26 ** (length - 1)).fill(0);
    for (const subtag of subtags.filter((s) => s.length === length)) {
        let index = 0;
        for (const letter of subtag.slice(0, -1)) index = index * 26 + letter.charCodeAt(0) - A;
        sets[index] |= 1 << (subtag.charCodeAt(length - 1) - A);
    }
    return sets;
}

function extlangs(records) {
    subtagsOf(records, 'extlang', /^[a-z]{3}$/);
    const all = records.filter((r) => r.Type === 'extlang');
    const strange = all.find((r) => r.Prefix.length !== 1 || !/^[a-z]{2,3}$/.test(r.Prefix[0]));
    if (strange) fail(`extlang ${strange.Subtag} has not one language as its prefix`);
    return all.map((r) => [r.Subtag, r.Prefix[0]]).sort((a, b) => (a[0] < b[0] ? -1 : 1));
}

function grandfathered(records) {
    const lower = (tag) => tag.toLowerCase();
    const all = records.filter((r) => r.Type === 'grandfathered').map((r) => r.Tag);
    return all.sort((a, b) => (lower(a) < lower(b) ? -1 : 1));
}

function lines(items) {
    const out = [];
    let line = '   ';
    for (const item of items) {
        if (line.length + item.length + 2 > COLUMNS) {
            out.push(line);
            line = '   ';
        }
        line += ` ${item},`;
    }
    return [...out, line].join('\n');
}

let bytes = 0;

function bitTable(name, subtags, length) {
    const sets = bitSets(subtags, length);
    const items = sets.map((bits) => `0x${bits.toString(16).padStart(7, '0')}`);
    bytes += sets.length * 4;
    return `const apr_uint32_t up_langtag_${name}[${sets.length}] = {\n${lines(items)}\n};\n`;
}

function listTable(name, type, size, items, count) {
    bytes += size * count;
    return (
        `const ${type} = {\n${lines(items)}\n};\n` +
        `const apr_size_t up_langtag_${name}_count = ${count};\n`
    );
}

function stringTable(name, strings) {
    const size = Math.max(...strings.map((s) => s.length)) + 1;
    const items = strings.map((s) => `"${s}"`);
    const width = `UP_LANGTAG_${name.toUpperCase()}_SIZE`;
    return (
        `_Static_assert(${width} >= ${size}, "a record does not fit");\n` +
        listTable(name, `char up_langtag_${name}[][${width}]`, size, items, strings.length)
    );
}

function extlangTable(pairs) {
    const items = pairs.map(([subtag, prefix]) => `{"${subtag}", "${prefix}"}`);
    const type = 'up_langtag_extlang up_langtag_extlangs[]';
    return listTable('extlangs', type, 8, items, pairs.length);
}

function main(folder) {
    if (folder === undefined) fail('usage: langtag_gen.js <folder of language-subtag-registry>');
    const { date, records } = readRegistry(folder);
    const languages = subtagsOf(records, 'language', /^[a-z]{2,3}$/);
    const regions = subtagsOf(records, 'region', /^([a-z]{2}|[0-9]{3})$/);
    const variants = subtagsOf(records, 'variant', /^([a-z0-9]{5,8}|[0-9][a-z0-9]{3})$/);
    const parts = [
        '/* SPDX-License-Identifier: Apache-2.0 */\n',
        `/* Generated by langtag_gen.js from IANA's language subtag registry of ${date}\n` +
            ' * (File-Date), as the npm package language-subtag-registry has it. Do not edit. */\n',
        '/* clang-format off */\n#include "core/langtag_data.h"\n',
        `const char up_langtag_date[] = "${date}";\n`,
        bitTable('languages2', languages, 2),
        bitTable('languages3', languages, 3),
        bitTable('regions2', regions, 2),
        stringTable('regions3', regions.filter((r) => r.length === 3)),
        extlangTable(extlangs(records)),
        stringTable('scripts', subtagsOf(records, 'script', /^[a-z]{4}$/)),
        stringTable('variants', variants),
        stringTable('grandfathered', grandfathered(records)),
    ];
    process.stdout.write(parts.join('\n'));
    process.stderr.write(`langtag_gen.js: registry of ${date}, ${bytes} bytes of tables\n`);
}

main(process.argv[2]);
