// SPDX-License-Identifier: Apache-2.0
//
// Makes cloudinary_signatures.txt, the signing vectors, with Cloudinary's own SDK:
//
//     npm install --prefix /tmp/sdk cloudinary
//     NODE_PATH=/tmp/sdk/node_modules node t/unit/data/cloudinary_signatures.js \
//         > t/unit/data/cloudinary_signatures.txt
//
// One vector a line, tab-separated: SHA-1, SHA-256, secret, then name=value for each
// parameter, in no order. The first is the worked example of Cloudinary's documentation.
'use strict';

const { utils } = require('cloudinary').v2;
const { version } = require('cloudinary/package.json');

const id = 'avatars/0123456789abcdef0123456789abcdef';
const vectors = [
    ['abcd', { timestamp: '1315060510', public_id: 'sample_image',
        eager: 'w_400,h_300,c_pad|w_260,h_200,c_crop' }],
    ['abcd', { timestamp: '1315060510', public_id: 'sample_image' }],
    ['s3cr-et_', { public_id: id, timestamp: '1773489600' }],
    ['s3cr-et_', { timestamp: '1773489600', invalidate: 'true', public_id: id }],
    ['s3cr-et_', { public_id: 'a', timestamp: '1', overwrite: 'false', folder: 'x/y' }],
    ['s', { public_id: 'a', folder: '', timestamp: '1' }],
    ['s', { public_id: 'a&timestamp=2', timestamp: '1' }],
    ['s', { public_id: 'a', timestamp: '1', a: '&', b: '&&', c: 'x&', d: '&y' }],
    ['s', { public_id: 'a%26b', timestamp: '1' }],
    ['s', { public_id: 'a=b=c', timestamp: '1' }],
    ['&', { public_id: 'a', timestamp: '1' }],
    ['s', { tags: 'ä,日本,🙂', public_id: 'é', timestamp: '1' }],
    ['s', { context: 'a b+c/d?e#f"g\'h\\i', timestamp: '9999999999' }],
    ['sécret🙂', { public_id: 'a', timestamp: '1' }],
    ['x'.repeat(256), { public_id: 'p'.repeat(255), timestamp: '1' }],
];

console.log(`# cloudinary ${version}: sha1, sha256, secret, name=value...`);
for (const [secret, params] of vectors) {
    const sign = (digest) => utils.api_sign_request(params, secret, digest, 2);
    const pairs = Object.entries(params).map(([name, value]) => `${name}=${value}`);
    console.log([sign('sha1'), sign('sha256'), secret, ...pairs].join('\t'));
}
