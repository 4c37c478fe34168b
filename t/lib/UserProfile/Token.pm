# SPDX-License-Identifier: Apache-2.0
package UserProfile::Token;

=head1 NAME

UserProfile::Token - signs bearer tokens, good ones and others

=head1 SYNOPSIS

    my $token = sign_claims({sub => 'ada@example.com', exp => time + 900}, key => $secret);
    my $token = sign_claims({...}, alg => 'ES256', key_file => 'es256.pem', kid => 'k2');
    my $token = sign_bytes('{"alg":"HS256","alg":"none"}', '{"sub":1}', key => $secret);

=head1 DESCRIPTION

JWS compact serialisation (RFC 7515). HS* is signed here, with a C<key> of bytes; RS* and ES* by
the openssl command, with a C<key_file>, a private key as PEM.

=cut

use strict;
use warnings;
use Digest::SHA ();
use Exporter qw(import);
use IPC::Open2 qw(open2);
use JSON::PP ();
use MIME::Base64 qw(encode_base64url);

our @EXPORT_OK = qw(sign_claims sign_bytes);

my $JSON = JSON::PP->new->utf8->canonical;

# Options: alg (HS256), kid, header (a hash of more members; undef takes one away), and as below.
sub sign_claims {
    my ($claims, %how) = @_;
    my $alg = $how{alg} // 'HS256';
    my %header = (alg => $alg, typ => 'JWT', %{$how{header} // {}});

    $header{kid} = $how{kid} if defined $how{kid};
    delete @header{grep { !defined $header{$_} } keys %header};
    return sign_bytes($JSON->encode(\%header), $JSON->encode($claims), %how);
}

# Header and payload are these bytes, whatever they are. Options: alg, which the signature is made
# with, whatever the header says; "none" gives an empty one; key or key_file.
sub sign_bytes {
    my ($header, $payload, %how) = @_;
    my $alg = $how{alg} // 'HS256';
    my $text = encode_base64url($header) . '.' . encode_base64url($payload);

    return "$text." if $alg eq 'none';
    my ($kind, $bits) = $alg =~ /^(HS|RS|ES)(256|384|512)$/ or die "No such algorithm: $alg\n";
    my $signature
        = $kind eq 'HS' ? Digest::SHA->can("hmac_sha$bits")->($text, $how{key})
        : _openssl_sign($text, $bits, $how{key_file});
    $signature = _raw_ecdsa($signature, {256 => 32, 384 => 48, 512 => 66}->{$bits})
        if $kind eq 'ES';
    return "$text." . encode_base64url($signature);
}

sub _openssl_sign {
    my ($text, $bits, $key_file) = @_;
    my $pid = open2(my $out, my $in, 'openssl', 'dgst', "-sha$bits", '-sign', $key_file);

    binmode $out;
    print {$in} $text;
    close $in;
    my $signature = do { local $/; <$out> };
    waitpid $pid, 0;
    die "openssl does not sign with $key_file\n" if $?;
    return $signature;
}

# openssl's signature is a DER sequence of two integers; RFC 7518 3.4 wants the two, each of the
# curve's size.
sub _raw_ecdsa {
    my ($der, $size) = @_;
    my ($position, @numbers) = (ord(substr $der, 1, 1) & 0x80 ? 3 : 2);

    for (1 .. 2) {
        my $length = ord substr $der, $position + 1, 1;
        my $number = substr $der, $position + 2, $length;
        $number =~ s/^\0+//;
        push @numbers, ("\0" x ($size - length $number)) . $number;
        $position += 2 + $length;
    }
    return join '', @numbers;
}

1;
