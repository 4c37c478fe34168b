#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# userprofile-token: the module takes what it signs, by each algorithm; what it says of a token is
# what the module says; every option does what its manual says, and each mistake is told and has its
# exit status.
use strict;
use warnings;
use Digest::SHA qw(hmac_sha256);
use MIME::Base64 qw(encode_base64url);
use Test::More;
use UserProfile::Contracts;
use UserProfile::Test;

my $TOOL = 'build/bin/userprofile-token';
my $keys = servers->{keys};
my $HS = "HS256 $keys/hs256.key";
my $dir = scratch() . "/token-tool-$$";
mkdir $dir or die "$dir: $!\n";

# Runs it. Returns its exit status, standard output and standard error. An option -stdin is what it
# is given, -stdout a file that it writes to.
sub tool {
    my (@arguments) = @_;
    my %option = map { ref $_ ? %$_ : () } @arguments;
    my $said = "$dir/stdout";

    spew("$dir/stdin", $option{stdin} // '');
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        open STDIN, '<', "$dir/stdin" or die "stdin: $!\n";
        open STDOUT, '>', $option{stdout} // $said or die "stdout: $!\n";
        open STDERR, '>', "$dir/stderr" or die "stderr: $!\n";
        exec $TOOL, grep { !ref } @arguments;
        die "$TOOL: $!\n";
    }
    waitpid $pid, 0;
    return ($? & 127 ? "signal $?" : $? >> 8, $option{stdout} ? '' : slurp($said), slurp("$dir/stderr"));
}

# A token that it signs for this subject.
sub signed {
    my ($status, $token, $said) = tool(@_);

    $status == 0 && $said eq '' && $token =~ /\A[\w-]+(?:\.[\w-]+){2}\n\z/
        or die "@_: $status, '$token', $said\n";
    return $token =~ s/\n\z//r;
}

# What it decodes.
sub decoded {
    my ($status, $text, $said) = tool('-d', @_);

    $status == 0 && $said eq '' or die "$status, $said\n";
    return JSON::PP->new->utf8->decode($text);
}

sub claims_of {
    return decoded(signed(@_))->{claims};
}

# A command line that fails: its status, what it says, and nothing on standard output.
sub fails {
    my ($status, $words, $name, @arguments) = @_;
    my ($got, $out, $said) = tool(@arguments);

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return is($got, $status, "$name: exit status $status")
        && like($said, qr/\Auserprofile-token: .*$words/, "$name: says why")
        && is($out, '', "$name: prints nothing else");
}

# --- The module takes what it signs ---------------------------------------------------------------

my @ALGORITHMS = qw(HS256 HS384 HS512 RS256 RS384 RS512 ES256 ES384 ES512);

# The file of an algorithm's key, to sign or to verify.
sub key_file {
    my ($alg, $public) = @_;
    my $name = $alg =~ /^RS/ ? 'rsa' : lc $alg;

    return "$keys/$name." . ($alg =~ /^HS/ ? 'key' : $public ? 'pub.pem' : 'pem');
}

my $user = user_new(full_name => 'Ada Lovelace');
my $contracts = contracts(
    algorithms => join("\n", map { qq(UserProfileTokenKey $_ "@{[key_file($_, 1)]}") } @ALGORITHMS),
    strict => <<"CONF",
        UserProfileTokenKey HS256 "$keys/hs256.key" kid=other
        UserProfileTokenKey ES256 "$keys/es256.pub.pem" kid=k1
        UserProfileTokenClaim iss https://login.example.com
        UserProfileTokenClaim aud profile
        UserProfileTokenClaim tenant blue
        UserProfileTokenClaim type access
        UserProfileTokenClaim jti
        <Location "$ME">
            Require userprofile-role creator
        </Location>
CONF
);

is_profile(me('GET', token => signed('-k', $HS, $user->{email})), {id => $user->{id}},
    'a token for the shipped configuration, with nothing said but the key');
for my $alg (@ALGORITHMS) {
    my $token = signed('--key', "$alg " . key_file($alg), $user->{email});
    my $verify = "$alg " . key_file($alg, 1);

    is(me('GET', token => $token, $contracts->at('algorithms'))->code, 200, "$alg: the module takes it");
    is((tool('--verify', '--key', $verify, $token))[0], 0, "$alg: ... and so does --verify");
    my ($status, undef, $said) = tool('-v', '-k', $verify, substr($token, 0, -6) . 'AAAAAA');
    is("$status $said", "1 userprofile-token: Token refused. The signature is wrong.\n", "$alg: ... not another");
}
my @STRICT = ('-k', "ES256 $keys/es256.pem kid=k1", qw(-i https://login.example.com -a profile -c tenant=blue));
is(me('GET', token => signed(@STRICT, qw(-r viewer -r creator), $user->{email}), $contracts->at('strict'))->code,
    200, 'kid, issuer, audience, another claim and roles as a contract wants them');
is(me('GET', token => signed(@STRICT, $user->{email}), $contracts->at('strict'))->code, 403,
    '... and without the role it is refused');
is(me('GET', token => signed(@STRICT, qw(-r creator -t none), $user->{email}), $contracts->at('strict'))->code,
    401, '... likewise without the type');

# --- What it writes -------------------------------------------------------------------------------

my $now = time;
my $all = decoded(signed('-k', "$HS kid=k2", qw(-i iss -a aud -t refresh -j 4711 -r viewer -l 2h),
    '-c', 'tenant=blue=green', '-C', 'level={"a":[1,true,null]}', 'ada@example.com'));
my ($iat, $exp) = delete @{$all->{claims}}{qw(iat exp)};
is_deeply($all, {header => {alg => 'HS256', typ => 'JWT', kid => 'k2'},
    claims => {sub => 'ada@example.com', iss => 'iss', aud => 'aud', type => 'refresh', jti => '4711',
        roles => ['viewer'], tenant => 'blue=green', level => {a => [1, JSON::PP::true, undef]}}},
    'every claim that is asked for, and no other');
cmp_ok(abs($iat - $now), '<', 60, 'iat is now');
is($exp - $iat, 7200, 'exp follows the lifetime');

my $plain = claims_of('-k', $HS, 'ada');
is(join(' ', sort keys %$plain), 'exp iat jti sub type', 'what is in a token by default');
is($plain->{type}, 'access', '... its type');
is($plain->{exp} - $plain->{iat}, 900, '... its lifetime');
isnt($plain->{jti}, claims_of('-k', $HS, 'ada')->{jti}, '... a jti of its own for each');
is(join(' ', sort keys %{claims_of('-k', $HS, qw(-j NONE --type none ada))}), 'exp iat sub', 'none: no such claim');
is_deeply(claims_of('-k', $HS, qw(-a one --audience two ada))->{aud}, [qw(one two)], 'given twice: a list');
is_deeply(claims_of('-k', $HS, qw(-c x=1 --claim x=2 ada))->{x}, [qw(1 2)], '... any claim');
is(claims_of('-k', $HS, '--json-claim', 'x=""', 'ada')->{x}, '', 'a claim can be empty, as JSON');
is(claims_of('-k', $HS, "\xc3\xa4\@x")->{sub}, "\xe4\@x", 'UTF-8 stays what it is');
is(claims_of('-k', $HS, '--', '-ada')->{sub}, '-ada', 'a subject that looks like an option');
my %seconds = ('1s' => 1, '90s' => 90, '2min' => 120, '3h' => 10_800, '3650d' => 315_360_000);
for my $lifetime (sort keys %seconds) {
    my $claims = claims_of('-k', $HS, '--lifetime', $lifetime, 'ada');
    is($claims->{exp} - $claims->{iat}, $seconds{$lifetime}, "a lifetime of $lifetime");
}

# --- Keys -----------------------------------------------------------------------------------------

my $secret = slurp("$keys/hs256.key");
(my $bare = $secret) =~ s/\n\z//;
for my $case (['no newline', $bare], ['a newline', "$bare\n"], ['CR LF', "$bare\r\n"]) {
    my ($name, $bytes) = @$case;
    spew("$dir/my key", $bytes);
    is((tool('-v', '-k', $HS, signed('-k', "HS256 '$dir/my key'", 'ada')))[0], 0, "a secret with $name at its end");
}
spew("$dir/nul", "\0" x 20 . 'x' x 20);
my ($input) = (my $with_nul = signed('-k', "HS256 $dir/nul", 'ada')) =~ /^(.*)\./;
is($with_nul, "$input." . encode_base64url(hmac_sha256($input, slurp("$dir/nul"))), 'a secret is bytes, NULs too');
is((tool('-v', '-k', $HS, signed('-k', 'HS256 -', 'ada', {stdin => $secret})))[0], 0, 'a secret from standard input');
is((tool('-v', '-k', "RS256 $keys/rsa.pub.pem",
    signed('-k', 'RS256 - kid=a', 'ada', {stdin => slurp("$keys/rsa.pem")})))[0], 0, '... or a private key');
is((tool('-v', '-k', "HS256 $keys/hs384.key", '-k', $HS, signed('-k', $HS, 'ada')))[0], 0, 'one of several keys verifies');
spew("$dir/short", 'short');
my ($weak, $token, $warning) = tool('-k', "HS256 $dir/short", 'ada');
is($weak, 0, 'a weak secret signs');
like($warning, qr/\Auserprofile-token: warning: The secret is shorter than the hash/, '... with a warning');
unlike($warning, qr/short'/, '... that does not show it');

spew("$dir/long", 'x' x 65_537);
system "openssl pkey -in $keys/rsa.pem -aes128 -passout pass:x -out $dir/locked.pem";
system "openssl genrsa -out $dir/rsa1024.pem 1024 2>/dev/null";
fails(3, "can't be read: No such file", 'no such file', '-k', "HS256 $dir/nothing", 'ada');
fails(3, "can't be read: .*", 'a folder', '-k', "HS256 $dir", 'ada');
fails(3, 'more than 65536 bytes', 'a file that is too long', '-k', "HS256 $dir/long", 'ada');
fails(3, 'The key is empty', 'an empty secret', '-k', 'HS256 -', 'ada', {stdin => "\n"});
fails(3, "'hs256' is no algorithm", 'an algorithm that is none', '-k', "hs256 $keys/hs256.key", 'ada');
fails(3, "'none' is no algorithm", 'none is none', '-k', "none $keys/hs256.key", 'ada');
fails(3, 'PEM file: with a public key as the secret', 'a public key as the secret', '-k', "HS256 $keys/rsa.pub.pem", 'ada');
fails(3, 'no private key', 'signing with a public key', '-k', "RS256 $keys/rsa.pub.pem", 'ada');
fails(3, 'has a private key', 'verifying with a private key', '-v', '-k', "RS256 $keys/rsa.pem", 'x');
fails(3, 'is encrypted', 'a private key with a passphrase', '-k', "RS256 $dir/locked.pem", 'ada');
fails(3, 'too short', 'an RSA key of 1024 bits', '-k', "RS256 $dir/rsa1024.pem", 'ada');
fails(3, 'not an RSA', 'a key of another kind', '-k', "RS256 $keys/es256.pem", 'ada');
fails(3, 'P-256', 'another curve', '-k', "ES256 $keys/es384.pem", 'ada');
fails(3, 'ALGORITHM FILE', 'a key of one word', '-k', 'HS256', 'ada');
fails(3, 'ALGORITHM FILE', 'one of four words', '-k', "$HS kid=a b", 'ada');
fails(3, "kid=ID, not 'kid='", 'an empty kid', '-k', "$HS kid=", 'ada');
fails(3, "kid=ID, not 'key=1'", 'another option', '-k', "$HS key=1", 'ada');

# --- Decoding and verifying -----------------------------------------------------------------------

my $good = signed('-k', $HS, qw(-i me -a x -a y -r viewer ada));
is_deeply(decoded({stdin => " \n$good\r\n"}), decoded($good), 'a token from standard input, with blanks around it');
my $nasty = token_bytes('{"alg":"none"}', qq({"a":"\xc2\x9b31m","b":1}), -alg => 'none') . 'AA';
my (undef, $shown) = tool('-d', $nasty);
like($shown, qr/"alg": "none"/, 'what the module refuses is decoded');
unlike($shown, qr/[^\n\x20-\x7e]/, '... in ASCII');
my ($half, $rest, $complaint) = tool('-d', 'e30.!.AA');
is("$half $complaint", "1 userprofile-token: The payload is not canonical base64url.\n", 'a payload that cannot be read');
is_deeply(JSON::PP->new->decode($rest), {header => {}}, '... and its header is shown');
fails(1, 'has not three parts', 'what is no token', '-d', 'hello');
fails(1, 'has not three parts', 'nothing', '-d');
fails(1, 'longer than 4096', 'a token that is too long', '-d', {stdin => 'a' x 5000});
fails(4, 'a NUL', 'a NUL in the token', '-d', {stdin => "a.b.c\0d"});

# What --verify says, and whether the module sees it likewise.
my %plain = (sub => $user->{email}, jti => 'x', type => 'access', exp => $now + 600);
my @VERDICTS = (
    ['expired', {exp => $now - 10}, 'expired \(exp\)'],
    ['not valid yet', {nbf => $now + 600}, 'not valid yet'],
    ['no exp', {exp => undef}, 'no exp'],
    ['no sub', {sub => undef}, 'no sub'],
    ['an empty jti', {jti => ''}, 'The jti is not a string, or empty'],
    ['another type', {type => 'refresh'}, 'The claim type'],
);
for my $case (@VERDICTS) {
    my ($name, $change, $words) = @$case;
    my %claims = (%plain, %$change);
    my $bad = UserProfile::Token::sign_claims({map { defined $claims{$_} ? ($_ => $claims{$_}) : () } keys %claims}, key => $bare);
    my ($status, $out, $said) = tool('-v', '-k', $HS, qw(-t access), $bad);
    is($status, 1, "$name: is not valid");
    like($said, qr/\Auserprofile-token: Token refused\. .*$words/, '... and says why');
    like($out, qr/"claims"/, '... and shows it');
    is(me('GET', token => $bad)->code, 401, '... as the module does');
}
my ($valid, undef, $how_long) = tool(qw(-dv -k), $HS, qw(-i me -a z -a y -r moderator -r viewer -t access), $good);
is($valid, 0, 'valid: one of the values of each claim');
like($how_long, qr/\Auserprofile-token: The token is valid for \d+ s\.\n\z/, '... and for how long');
for my $case ([qw(-i you)], [qw(-a z)], [qw(-r creator)], [qw(-t refresh)], [qw(-j 1)], [qw(-c tenant=blue)]) {
    my ($status, undef, $said) = tool('-v', '-k', $HS, @$case, $good);
    is($status, 1, "@$case: not valid");
    like($said, qr/The claim \w+ is missing or has no value/, '... and says why');
}
my $old = UserProfile::Token::sign_claims({%plain, exp => time - 10}, key => $bare);
my ($late, undef, $why) = tool('-v', '-k', $HS, qw(-L 300), $old);
is($late, 0, 'expired, within the leeway');
like($why, qr/valid by the leeway: it has expired \d+ s ago/, '... which it says');
is((tool('-v', '-k', "$HS kid=a", signed('-k', "$HS kid=b", 'ada')))[0], 1, 'a kid that no key has');

# --- Mistakes -------------------------------------------------------------------------------------

fails(1, 'would not take this token. .*control characters', 'a subject with an escape', '-k', $HS, "a\033b");
fails(1, 'longer than 4096', 'a token that would be too long', '-k', $HS, '-c', 'x=' . 'y' x 4096, 'ada');
fails(1, 'sub is not UTF-8', 'a subject that is not UTF-8', '-k', $HS, "\xff");
fails(1, 'longer than 1024', 'a subject that is too long', '-k', $HS, 'x' x 1025);
for my $case (
    ['no subject', 'no SUBJECT', '-k', $HS],
    ['two subjects', 'more than one SUBJECT', 'a', 'b'],
    ['two tokens', 'more than one TOKEN', '-d', 'a', 'b'],
    ['two keys to sign', 'one --key', '-k', $HS, '-k', $HS, 'a'],
    ['no such option', 'no option -z', '-z', 'a'],
    ['no such long one', 'no option --zap', '--zap', 'a'],
    ['an argument too many', 'takes no argument: --decode=x', '--decode=x', 'a'],
    ['an argument too few', '-k needs an argument', '-k'],
    ['a lifetime without unit', "not '15'", '-l', '15', 'a'],
    ['a lifetime of nothing', "not '0s'", '-l', '0s', 'a'],
    ['a lifetime that is too long', "not '3651d'", '-l', '3651d', 'a'],
    ['a lifetime past all numbers', 'A lifetime is', '-l', '9' x 30 . 's', 'a'],
    ['a negative lifetime', 'A lifetime is', '-l', '-1s', 'a'],
    ['a lifetime to verify', '--lifetime is for signing', '-v', '-l', '1h', 'a'],
    ['a leeway to sign', '--leeway is for --verify', '-L', '1', 'a'],
    ['a leeway that is too long', "not '301'", '-v', '-L', '301', 'a'],
    ['a leeway that is no number', "not '1s'", '-v', '-L', '1s', 'a'],
    ['a key to decode', '--decode needs no key', '-d', '-k', $HS, 'a'],
    ['a claim to decode', '--decode asks for no claims', '-d', '-r', 'viewer', 'a'],
    ['a JSON claim to verify', '--json-claim is for signing', '-v', '-C', 'x=1', 'a'],
    ['a claim without value', 'NAME=VALUE', '-c', 'x', 'a'],
    ['a claim without name', 'NAME=VALUE', '-c', '=x', 'a'],
    ['an empty claim', 'The claim x is empty', '-c', 'x=', 'a'],
    ['an empty issuer', 'The claim iss is empty', '-i', '', 'a'],
    ['a JSON claim that is none', 'The claim x is not JSON', '-C', 'x={', 'a'],
    ['a JSON claim twice', 'The claim x is given twice', '-C', 'x=1', '-C', 'x=2', 'a'],
    ['a JSON claim and a text', 'The claim x is given twice', '-c', 'x=1', '-C', 'x=2', 'a'],
    ['a text and a JSON claim', 'The claim x is given twice', '-C', 'x=1', '-c', 'x=2', 'a'],
    ['a subject as a claim', 'The claim sub cannot be given', '-c', 'sub=x', 'a'],
    ['a time as a claim', 'The claim exp cannot be given', '-C', 'exp=1', 'a'],
    ['standard input twice', 'one thing only', '-v', '-k', 'HS256 -'],
) {
    my ($name, $words, @arguments) = @$case;
    fails(2, $words, $name, @arguments);
}
is((tool('-k', $HS, 'ada', {stdout => '/dev/full'}))[0], 4, 'a full disk');

# --- What it says of itself -----------------------------------------------------------------------

my ($version) = slurp('src/core/version.h') =~ /UP_VERSION "(.*)"/;
is((tool('--version'))[1], "userprofile-token $version\n", '--version');
my $help = (tool('--help'))[1];
is((tool('-h'))[1], $help, '-h is --help');
my $manual = slurp('docs/userprofile-token.1');
my %in_source = slurp('src/tools/token_options.c') =~ /^\s+(?:static const struct option longs\[\] = \{)?\{"([a-z-]+)", \w+, NULL, (\S+)\}/mg;
my %options = (%in_source, slurp('src/tools/token_options.c') =~ /longs\[\] = \{\{"([a-z-]+)", \w+, NULL, (\S+)\}/);
cmp_ok(scalar keys %options, '>', 12, 'the options of the source have been found');
for my $name (sort keys %options) {
    my ($letter) = $options{$name} =~ /^'(.)'$/;
    like($help, $letter ? qr/^  -$letter, --$name\b/m : qr/^      --$name\b/m, "--$name is in the help");
    like($manual, $letter ? qr/^\.It Fl $letter , -$name\b/m : qr/^\.It Fl -$name\b/m, '... and in the manual');
}
my $lint = `mandoc -Tlint docs/userprofile-token.1 2>&1`;
is(join('', grep { !/mandoc\.db/ } split /^/, $lint), '', 'mandoc has nothing to say of the manual');

done_testing();
