#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# The network: behind TLS, by HTTP/1.1 and by HTTP/2, all on one connection that is kept, so that what an
# upload leaves behind is there for the next request; and how often it is read.
use strict;
use warnings;
use List::Util qw(min sum);
use Test::More;
use UserProfile::Avatar;
use UserProfile::Httpd qw(modules_folder);
use UserProfile::Process qw(free_port run_quietly slurp spew);
use UserProfile::Resources;
use UserProfile::Test;

my $MB = 1024 * 1024;
my $dir = scratch() . '/network';
my $folder = modules_folder();
my $tls = free_port();

-e "$folder/mod_$_.so" or plan skip_all => "mod_$_ is not installed" for qw(ssl http2);
mkdir $dir or die "$dir: $!\n";
run_quietly(qw(openssl req -x509 -nodes -newkey rsa:2048 -days 2 -subj /CN=localhost -keyout), "$dir/key", '-out', "$dir/cert");

my $node = node(more => <<"CONF")->start;
LoadModule ssl_module "$folder/mod_ssl.so"
LoadModule http2_module "$folder/mod_http2.so"
Listen 127.0.0.1:$tls
<VirtualHost 127.0.0.1:$tls>
    SSLEngine on
    SSLCertificateFile "$dir/cert"
    SSLCertificateKeyFile "$dir/key"
    Protocols h2 http/1.1
    Include "@{[scratch()]}/top/conf/fluentmeet.conf"
</VirtualHost>
CONF
my @protocols = (['--http1.1', '1.1'], $node->{mpm} eq 'prefork' ? () : ['--http2', '2']);

# Sends requests one after the other, on one connection: the arguments of curl for each.
# Returns "protocol status connections" of each, and its body.
sub curl {
    my ($protocol, $person, @requests) = @_;
    my @arguments;

    for my $n (0 .. $#requests) {
        push @arguments, $n ? '--next' : (), '--insecure', '--silent', '--show-error', $protocol, '-H',
            "Authorization: Bearer $person->{token}", '-o', "$dir/answer.$n", '-w',
            '%{http_version} %{http_code} %{num_connects}\n', @{$requests[$n]};
    }
    my @said = split /\n/, run_quietly('curl', @arguments);
    return map { [$said[$_], slurp("$dir/answer.$_")] } 0 .. $#requests;
}

for my $case (@protocols) {
    my ($protocol, $version) = @$case;
    my $person = person(full_name => 'Ada');
    my $url = "https://localhost:$tls$ME";
    my ($first, $second) = map { png($_) } 2 * $MB, 5 * $MB;

    journal_clear();
    storage('reset');
    spew("$dir/first.png", $first);
    spew("$dir/second.png", $second);
    spew("$dir/large.png", png(5 * $MB + 1));
    my @answers = curl($protocol, $person,
        [$url],
        [$url, '-X', 'PATCH', '-F', 'full_name=Grace', '-F', "avatar=\@$dir/first.png;type=image/png"],
        [$url],
        [$url, '-X', 'PATCH', '-H', 'Content-Type: application/json', '--data', '{"full_name":"Edsger"}'],
        ["$url/avatar", '-X', 'PUT', '-H', 'Content-Type: image/png', '-H', 'Expect:', '--data-binary', "\@$dir/second.png"],
        [$url]);
    my @names = ('a GET', 'a form with a picture', 'a GET behind it', 'JSON', 'a picture of 5 MB', 'a GET behind it');
    my @wants = qw(Ada Grace Grace Edsger Edsger Edsger);

    for my $n (0 .. $#names) {
        is($answers[$n][0], "$version 200 " . ($n ? 0 : 1), "HTTP/$version: $names[$n], on the same connection");
        like($answers[$n][1], qr/"full_name": ?"$wants[$n]"/, '... with its profile');
    }
    my $asset = asset_of(user_row($person->{id})->{avatar_url}) // '';
    is_deeply([assets()], [$asset], 'the second picture is in the storage, and no other');
    ok(delivered($asset) eq $second, '... byte for byte');
    is_deeply([journal()], [], 'the journal is empty');

    # By HTTP/2 the stream is reset with NO_ERROR behind the answer (RFC 9113, 8.1), which Debian 12's
    # curl takes for a failure.
    if ($version eq '1.1') {
        my ($refused) = curl($protocol, $person,
            ["$url/avatar", '-X', 'PUT', '-H', 'Content-Type: image/png', '--data-binary', "\@$dir/large.png"]);
        like($refused->[0], qr/^1\.1 413 /, 'a byte too many');
        like($refused->[1], qr/"FILE_TOO_LARGE"/, '... by its code');
    }
    avatar('DELETE', $person);
}

# httpd reads a socket 8,000 bytes at a time; while a picture comes in it is more. A sender may be slower.
{
    my $person = person();
    my $picture = png(5 * $MB);
    my @took;

    for my $try (1 .. 3) {
        my $before = sum(map { reads($_) } children($node));

        is(avatar('PUT', $person, $picture, port => $node->{port})->code, 200, 'a picture of 5 MB without TLS');
        push @took, sum(map { reads($_) } children($node)) - $before;
    }
    cmp_ok(min(@took), '<', 5 * $MB / 8000, '... takes fewer reads than httpd has for a body') or diag("@took");
    avatar('DELETE', $person);
}

done_testing();
