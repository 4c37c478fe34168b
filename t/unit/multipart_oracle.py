# SPDX-License-Identifier: Apache-2.0
#
# What python-multipart (Debian's python3-multipart) makes of forms: on standard input a line in
# hexadecimal for each body, of the boundary "bo". It is answered by "error", or, in hexadecimal, by
# "name/filename/data" for each part, "-" for no file name, each followed by a blank.
import logging
import sys

try:
    from multipart.multipart import MultipartParser, parse_options_header
except ImportError:
    sys.exit(77)

logging.disable(logging.CRITICAL)


class Form:
    def __init__(self):
        self.parts, self.whole = [], False
        self.field = self.value = b""

    def begin(self):
        self.headers, self.data = {}, b""

    def header_field(self, data, start, end):
        self.field += data[start:end]

    def header_value(self, data, start, end):
        self.value += data[start:end]

    def header_end(self):
        self.headers[self.field.lower()] = self.value
        self.field = self.value = b""

    def content(self, data, start, end):
        self.data += data[start:end]

    def part_end(self):
        _, options = parse_options_header(self.headers.get(b"content-disposition", b""))
        self.parts.append((options.get(b"name", b""), options.get(b"filename"), self.data))

    def end(self):
        self.whole = True


def answer(body):
    form = Form()
    parser = MultipartParser(b"bo", {
        "on_part_begin": form.begin, "on_part_data": form.content, "on_part_end": form.part_end,
        "on_header_field": form.header_field, "on_header_value": form.header_value,
        "on_header_end": form.header_end, "on_end": form.end,
    })
    try:
        if parser.write(body) != len(body):
            return "error"
        parser.finalize()
    except Exception:
        return "error"
    if not form.whole:
        return "error"
    return "".join(f"{name.hex()}/{'-' if filename is None else filename.hex()}/{data.hex()} "
                   for name, filename, data in form.parts)


for line in sys.stdin:
    print(answer(bytes.fromhex(line.strip())))
