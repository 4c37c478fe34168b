# SPDX-License-Identifier: Apache-2.0
package UserProfile::Picture;

=head1 NAME

UserProfile::Picture - small pictures of each type, of any size in bytes

=cut

use strict;
use warnings;
use Compress::Zlib qw(compress crc32);
use Exporter qw(import);
use MIME::Base64 qw(decode_base64);

our @EXPORT_OK = qw(png jpeg webp);

# A PNG of 64 x 64 in one colour (3 bytes: red, green, blue; at random by default, so that no two
# pictures are the same). With a size, in bytes and at least 300, it has exactly that: an ancillary
# chunk fills it.
sub png {
    my ($size, $colour) = @_;
    my $row = "\0" . ($colour // pack 'C3', map { int rand 256 } 1 .. 3) x 64;
    my $head = "\x89PNG\r\n\x1a\n" . _chunk(IHDR => pack 'NNCCCCC', 64, 64, 8, 2, 0, 0, 0);
    my $tail = _chunk(IDAT => compress($row x 64)) . _chunk(IEND => '');
    my $fill = defined $size ? $size - length($head) - length($tail) - 12 : -1;

    return $head . ($fill >= 0 ? _chunk(fiLl => "\0" x $fill) : '') . $tail;
}

sub _chunk {
    my ($type, $data) = @_;

    return pack('N', length $data) . $type . $data . pack 'N', crc32($type . $data);
}

# A grey JPEG of 8 x 8, baseline; its two Huffman tables have one code each.
sub jpeg {
    my $marker = sub { pack('CCn', 0xff, $_[0], 2 + length $_[1]) . $_[1] };
    my $one_code = "\1" . "\0" x 15 . "\0";

    return "\xff\xd8" . $marker->(0xe0, "JFIF\0\1\1\0\0\1\0\1\0\0") . $marker->(0xdb, "\0" . "\1" x 64)
        . $marker->(0xc0, pack 'CnnCCCC', 8, 8, 8, 1, 1, 0x11, 0) . $marker->(0xc4, "\0$one_code")
        . $marker->(0xc4, "\x10$one_code") . $marker->(0xda, "\1\1\0\0\x3f\0") . "\x3f\xff\xd9";
}

# A lossless WebP of one pixel.
sub webp {
    return decode_base64('UklGRhoAAABXRUJQVlA4TA0AAAAvAAAAEAcQERGIiP4HAA==');
}

1;
