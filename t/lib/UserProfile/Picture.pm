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

our @EXPORT_OK = qw(png jpeg webp with_chunk with_segment with_riff_chunk exif telling);

# A PNG of 64 x 64 in one colour (3 bytes: red, green, blue; at random by default, so that no two
# pictures are the same). With a size, in bytes and at least 300, it has exactly that: a suggested
# palette fills it.
sub png {
    my ($size, $colour) = @_;
    my $row = "\0" . ($colour // pack 'C3', map { int rand 256 } 1 .. 3) x 64;
    my $head = "\x89PNG\r\n\x1a\n" . _chunk(IHDR => pack 'NNCCCCC', 64, 64, 8, 2, 0, 0, 0);
    my $tail = _chunk(IDAT => compress($row x 64)) . _chunk(IEND => '');
    my $fill = defined $size ? $size - length($head) - length($tail) - 12 : -1;

    return $head . ($fill >= 0 ? _chunk(sPLT => _palette($fill)) : '') . $tail;
}

# One of so many bytes: a name, the depth, entries of six bytes.
sub _palette {
    my ($size) = @_;
    my $name = 'x' x (1 + ($size - 3) % 6);

    return "$name\0\x08" . "\0" x ($size - length($name) - 2);
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

# --- What pictures tell of their maker ------------------------------------------------------------

# The PNG with one more chunk, before its pixels.
sub with_chunk {
    my ($picture, $type, $data) = @_;
    my $chunk = _chunk($type, $data);

    return $picture =~ s/(?=....IDAT)/$chunk/sr;
}

# The JPEG with one more segment, as its first.
sub with_segment {
    my ($picture, $marker, $data) = @_;

    return $picture =~ s/\A(\xff\xd8)/$1 . pack('CCn', 0xff, $marker, 2 + length $data) . $data/er;
}

# The WebP in its extended form, with these flags and chunks ([name, data] each).
sub _extended {
    my ($picture, $flags, @chunks) = @_;
    my $content = 'WEBP' . _riff(VP8X => pack 'CxxxCCCCCC', $flags, (0) x 6) . substr($picture, 12)
        . join '', map { _riff(@$_) } @chunks;

    return 'RIFF' . pack('V', length $content) . $content;
}

sub _riff {
    my ($name, $data) = @_;

    return sprintf('%-4s', $name) . pack('V', length $data) . $data . "\0" x (length($data) % 2);
}

# Exif data, big-endian: this orientation and, where there is one, an artist.
sub exif {
    my ($orientation, $artist) = @_;
    my $entries = pack 'nnNnn', 0x112, 3, 1, $orientation, 0;
    my $count = defined $artist ? 2 : 1;

    $entries .= pack 'nnNN', 0x13b, 2, length $artist, 38 if defined $artist;
    return "MM\0*" . pack('Nn', 8, $count) . $entries . pack('N', 0) . ($artist // '');
}

# Pictures that tell this: a name, a format (jpg, png, webp), the picture, and it without that.
sub telling {
    my ($what) = @_;
    my ($jpeg, $png, $webp) = (jpeg(), png(), webp());
    my %format = (jpg => $jpeg, png => $png, webp => _extended($webp, 0));
    my $name = "Exif\0\0";
    my @all = (
        ['Exif', jpg => with_segment($jpeg, 0xe1, $name . exif(1, $what))],
        ['XMP', jpg => with_segment($jpeg, 0xe1, "http://ns.adobe.com/xap/1.0/\0<x>$what</x>")],
        ['IPTC', jpg => with_segment($jpeg, 0xed, "Photoshop 3.0\0$what")],
        ['a comment', jpg => with_segment($jpeg, 0xfe, $what)],
        ['a thumbnail', jpg => with_segment($jpeg, 0xe0, "JFXX\0\x10$what")],
        ['what follows it', jpg => $jpeg . $what],
        ['an orientation beside it', jpg => with_segment($jpeg, 0xe1, $name . exif(6, $what)),
            with_segment($jpeg, 0xe1, $name . exif(6))],
        ['text', png => with_chunk($png, 'tEXt', "Author\0$what")],
        ['international text', png => with_chunk($png, 'iTXt', "Author\0\0\0\0\0$what")],
        ['Exif', png => with_chunk($png, 'eXIf', exif(1, $what))],
        ['what follows it', png => $png . $what],
        ['an orientation beside it', png => with_chunk($png, 'eXIf', exif(8, $what)),
            with_chunk($png, 'eXIf', exif(8))],
        ['Exif', webp => _extended($webp, 8, [EXIF => exif(1, $what)])],
        ['XMP', webp => _extended($webp, 4, [XMP => "<x>$what</x>"])],
        ['both', webp => _extended($webp, 12, [EXIF => $name . exif(1, $what)], [XMP => $what])],
        ['what follows it', webp => _extended($webp, 0) . $what],
        ['an orientation beside it', webp => _extended($webp, 12, [EXIF => exif(3, $what)], [XMP => $what]),
            _extended($webp, 8, [EXIF => exif(3)])],
    );

    return map {
        {name => "$_->[1] with $_->[0]", format => $_->[1], picture => $_->[2],
            plain => $_->[3] // $format{$_->[1]}}
    } @all;
}

1;
