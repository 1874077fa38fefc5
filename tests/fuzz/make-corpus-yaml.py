#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the corpus of fuzz-yaml: every key with good and bad values, every form of YAML, hostile shapes.

usage: make-corpus-yaml.py FOLDER    (tests/fuzz/corpus/yaml in the repository; the result is always the same)
"""
import os
import sys

KEYS = {
    'capture': {
        'interfaces': '[eth0, "wlan0"]', 'filter': '"tcp port 80"', 'buffer': '64MiB', 'batch_timeout': '20ms',
        'ring': '16MiB', 'user': 'nobody'},
    'enrich': {
        'tap': 'connect', 'procfs': 'keep', 'sock_diag': 'false', 'first_info': '1s', 'active_timeout': '1h',
        'ring': '64KiB', 'user': '4711'},
    'output': {
        'files': '["ecs:/tmp/x", "text:-"]', 'flush': '1s', 'sync': '5s', 'buffer': '64KiB', 'io_uring': 'off',
        'user': 'daemon'},
    'limits': {
        'flows': '1000', 'processes': '64', 'tcp_timeout': '1d', 'tcp_attempt_timeout': '100ms',
        'udp_timeout': '30000000us', 'args': '0B'},
    'metrics': {'interval': '250ms'},
}
BAD = ['~', '[]', '{}', '""', '"\\0"', '"\\e[2J\\u202e"', '-1', '1.5MiB', '99999999999999999999GiB', '0x10', '*a', '&a b', '!t x',
       '[[[x]]]', '|', '>-', '[a, a]', '[any, b]']
FORMS = {
    'empty': b'', 'null': b'~\n', 'comment': b'# x\n', 'document': b'---\ncapture:\n...\n', 'two': b'---\na: b\n---\nc: d\n',
    'bom': b'\xef\xbb\xbfcapture:\n', 'utf16le': 'capture:\n'.encode('utf-16'), 'utf16be': b'\xfe\xff\0c\0:',
    'latin1': b'capture:\n  filter: caf\xe9\n', 'nul': b'capture:\0\n', 'directive': b'%YAML 1.1\n---\n{}\n',
    'tag-directive': b'%TAG ! tag:x,2000:\n---\n{}\n', 'tab': b'capture:\n\tbuffer: 1MiB\n',
    'cr': b'capture:\r  buffer: 1MiB\r\nlimits:\r\n', 'nel': b'capture:\xc2\x85  buffer: 1MiB\xe2\x80\xa8',
    'explicit': b'? capture\n: ? buffer\n  : 1MiB\n', 'complex-key': b'? [a, b]\n: c\n', 'merge': b'<<: *a\n',
    'literal': b'capture:\n  filter: |2-\n      tcp\n    or udp\n\n', 'folded': b'capture:\n  filter: >+\n    a\n\n    b\n\n',
    'multi-line': b'capture:\n  filter: "a\n    b\\\n    c\n\n    d"\n  user: \'x\'\'y\'\n',
    'escapes': b'capture:\n  filter: "\\0\\a\\b\\t\\n\\v\\f\\r\\e\\ \\"\\\\\\N\\_\\L\\P\\x41\\u00e9\\U0001F41F"\n',
    'escape-cut': b'capture:\n  filter: "\\U0001', 'duplicate': b'limits: {flows: 64, flows: 65}\n',
    'dotted': b'capture.buffer: 1MiB\n', 'typo': b'captrue:\n  bufer: 1\n', 'list': b'- a\n- - b\n  - {c: d}\n',
    'flow-list': b'[ecs:/a, "text:-", \'x:y\']', 'flow-list-behind': b'[ecs:/a] b', 'flow-commas': b'[,,a:b]',
    'outputs': b'output:\n  files:\n    - format: zeek\n      path: /var/log/flowner/conn.log\n      include: ["process:curl port:443", a]\n'
               b'      exclude: [loopback]\n      rotate_size: 64MiB\n      rotate_interval: 1d\n      compress: zstd\n'
               b'      keep_files: 14\n      keep_time: 30d\n      keep_bytes: 1GiB\n    - text:-\n    - {format: ecs, path: "/x, y"}\n',
    'outputs-empty': b'output: {files: [{format: ecs, path: /x, include: [], exclude: []}]}\n',
    'outputs-wrong': b'output: {files: [{format: ecs, pth: /x}]}\n', 'outputs-half': b'output: {files: [{format: ecs}]}\n',
    'outputs-twice': b'output: {files: [{format: ecs, path: a, path: b}]}\n', 'outputs-nested': b'output: {files: [{format: {a: b}}]}\n',
    'outputs-null': b'output: {files: [{format: ~, path: }]}\n', 'outputs-key': b'output: {files: [{[a]: b}]}\n',
    'outputs-same': b'output: {files: [{format: ecs, path: a}, ecs:a]}\n', 'flow-mapping': b'[{format: ecs, path: a, rotate_size: 1MiB}]',
    'outputs-stdout': b'output: {files: [{format: ecs, path: "-", rotate_size: 1MiB}]}\n',
    'alias-bomb': b'a: &a [x]\nb: &b [*a, *a]\nc: [*b, *b]\n',
}
SHAPES = ['[', '{', '[{', '{a: ', '- ', '? ', ': ', '! ', '&a ', '"', "'", '|', '%', '#', '[? ', '- ? ', 'a: ', '\n', '---\n', '...\n',
          '\xa0', '\u2028', '\U0001f41f']


def yaml(keys):
    """The sections in block style."""
    out = ''
    for section, entries in keys.items():
        out += section + ':\n' + ''.join('  %s: %s\n' % entry for entry in entries.items())
    return out.encode()


def flow(keys):
    """The same in flow style on one line."""
    parts = ['%s: {%s}' % (section, ', '.join('%s: %s' % entry for entry in entries.items()))
             for section, entries in keys.items()]
    return ('{' + ', '.join(parts) + '}').encode()


def corpus():
    yield 'all', yaml(KEYS)
    yield 'all-flow', flow(KEYS)
    for section, entries in KEYS.items():
        yield 'section-' + section, yaml({section: entries})
        for key in entries:
            bad = BAD[sum(map(ord, section + key)) % len(BAD)]
            yield 'bad-%s-%s' % (section, key), yaml({section: {key: bad}})
    for i, bad in enumerate(BAD):
        yield 'value-%02d' % i, yaml({'capture': {'filter': bad, 'interfaces': bad}, 'limits': {'flows': bad}})
    for name, text in FORMS.items():
        yield 'form-' + name, text
    for i, shape in enumerate(SHAPES):
        yield 'shape-%02d' % i, (shape * 200).encode()
        yield 'shape-%02d-below' % i, b'capture:\n  filter: ' + (shape * 50).encode()


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    os.makedirs(sys.argv[1], exist_ok=True)
    for name, text in corpus():
        with open(os.path.join(sys.argv[1], name), 'wb') as f:
            f.write(text)


main()
