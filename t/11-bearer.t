#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# Who is calling: algorithms, keys and claims of a bearer token, revoked ones, what is answered to
# each, in which order decisions fall, and that a token stays out of every log. What is wrong with a
# token's form in all its variants is for build/unit/token_*.
use strict;
use warnings;
use Digest::SHA qw(hmac_sha256);
use IO::Select ();
use IO::Socket::INET ();
use MIME::Base64 qw(encode_base64url);
use Test::More;
use UserProfile::Contracts;
use UserProfile::Test;

my $user = user_new(full_name => 'Ada Lovelace');
my $token = token(sub => $user->{email});
my $before = user_row($user->{id});
my $keys = servers->{keys};
my $now = time;

my $rsa = join "\n", map { qq(UserProfileTokenKey $_ "$keys/rsa.pub.pem") } qw(RS256 RS384 RS512);
my $contracts = contracts(
    # All algorithms at once, each with its key.
    algorithms => join("\n", $rsa, map({ qq(UserProfileTokenKey \U$_\E "$keys/$_.key") } qw(hs256 hs384 hs512)),
        map { qq(UserProfileTokenKey \U$_\E "$keys/$_.pub.pem") } qw(es256 es384 es512)),
    # Two secrets of one algorithm, and a key without a name.
    kids => <<"CONF",
        UserProfileTokenKey HS256 "$keys/hs256.key" kid=old
        UserProfileTokenKey HS256 "$keys/hs384.key" kid=new
        UserProfileTokenKey RS256 "$keys/rsa.pub.pem"
CONF
    rotation => <<"CONF",
        UserProfileTokenKey HS256 "$keys/hs384.key"
        UserProfileTokenKey HS256 "$keys/hs256.key"
CONF
    claims => <<'CONF',
        UserProfileTokenClaim type access
        UserProfileTokenClaim jti
        UserProfileTokenClaim iss https://login.example.com https://old.example.com
        UserProfileTokenClaim aud profile
        UserProfileTokenClaim tenant
        UserProfileTokenLeeway 60
CONF
    nojti => <<'CONF',
        UserProfileTokenClaim type access
        <Location "/api/v1/users/me">
            AuthName "a \"quoted\" realm"
        </Location>
CONF
);

# The answer to a token, by the main server or by a contract.
sub get {
    my ($text, $contract) = @_;

    return me('GET', token => $text, $contract ? $contracts->at($contract) : ());
}

sub is_accepted {
    my ($text, $name, $contract) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return is_profile(get($text, $contract), {id => $user->{id}}, $name);
}

# Refused as the contract has it: with this code, and a challenge that says a token was sent.
sub is_refused {
    my ($text, $name, %option) = @_;
    my $res = get($text, $option{by});
    my $code = $option{code} // 'INVALID_CREDENTIALS';

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return is_error($res, 401, $code, $name) unless $res->code == 401;
    my $challenge = $res->header('WWW-Authenticate') // 'none';
    return is((json($res)->{code} // '') . " $challenge",
        qq($code Bearer realm="FluentMeet", error="invalid_token"), $name);
}

sub mine {
    return token(sub => $user->{email}, @_);
}

# --- Algorithms and keys --------------------------------------------------------------------------

my @ALGORITHMS = qw(HS256 HS384 HS512 RS256 RS384 RS512 ES256 ES384 ES512);

for my $alg (@ALGORITHMS) {
    my $good = mine(-alg => $alg);
    my ($head, $payload, $signature) = split /\./, $good;

    is_accepted($good, "$alg: a good token", 'algorithms');
    my $other = (split /\./, mine(-alg => $alg, full => 'other'))[1];
    is_refused("$head.$other.$signature", "$alg: other claims", by => 'algorithms');
    my $flipped = $signature;
    substr($flipped, 20, 1) = substr($flipped, 20, 1) eq 'A' ? 'B' : 'A';
    is_refused("$head.$payload.$flipped", "$alg: another signature", by => 'algorithms');
    is_refused("$head.$payload.", "$alg: no signature", by => 'algorithms');
    is_refused($good, "$alg: not by the configuration that has another", by => undef)
        unless $alg eq 'HS256';
}
for my $alg (@ALGORITHMS) {
    for my $other (grep { $_ ne $alg } @ALGORITHMS) {
        # Only what can be signed so at all: the key is the one of the signature's algorithm.
        my $lie = mine(-alg => $other, -header => {alg => $alg});
        is_refused($lie, "alg $alg, but signed with $other", by => 'algorithms');
    }
}
for my $alg ('none', 'None', 'NONE', 'hs256', 'Hs256', 'HS256 ', 'HS1', 'PS256', 'EdDSA', '', 'HS2567') {
    is_refused(mine(-header => {alg => $alg}), "alg '$alg', signed with HS256", by => 'algorithms');
}
is_refused(mine(-alg => 'none'), 'alg none, without a signature');
is_refused(mine(-header => {alg => undef}), 'no alg');
is_refused(mine(-header => {alg => ['HS256']}), 'alg in an array');
is_refused(mine(-key => 'x' x 66), 'another secret');
is_refused(mine(-key => ''), 'an empty secret');
is_refused(mine(-key => slurp("$keys/hs256.key")), 'the secret with the newline of its file');
for my $public (map { "$keys/$_.pub.pem" } qw(rsa es256)) {
    is_refused(mine(-key => slurp($public)), "a public key as the secret: $public",
        by => 'algorithms');
}
{
    # What openssl signs is DER; JOSE wants r and s (RFC 7518, 3.4).
    my $text = join '.', (split /\./, mine(-alg => 'ES256'))[0, 1];
    my $der = `printf %s '$text' | openssl dgst -sha256 -sign $keys/es256.pem`;
    is_refused($text . '.' . encode_base64url($der), 'ES256: a signature in DER', by => 'algorithms');
    is_refused("$text." . encode_base64url("\0" x 64), 'ES256: a signature of zeros',
        by => 'algorithms');
}

# kid: where keys have names, it chooses among these.
my $new = slurp("$keys/hs384.key") =~ s/\n\z//r;
is_accepted(mine(-kid => 'old'), 'kid: the old key', 'kids');
is_accepted(mine(-kid => 'new', -key => $new), 'kid: the new key', 'kids');
is_accepted(mine(), 'kid: without one, all keys are tried', 'kids');
is_accepted(mine(-key => $new), 'kid: the second key too', 'kids');
is_accepted(mine(-alg => 'RS256'), 'kid: a key without a name, for a token without one', 'kids');
is_refused(mine(-kid => 'new'), 'kid: names another key than it is signed with', by => 'kids');
is_refused(mine(-kid => $_), "kid: '$_' is no key's", by => 'kids')
    for 'other', 'OLD', 'old ', '', '../hs256.key', '%s';
is_refused(mine(-alg => 'RS256', -kid => 'old'), "kid: another algorithm's", by => 'kids');
is_refused(mine(-alg => 'RS256', -kid => 'rsa'), 'kid: no key has it, not even the one without',
    by => 'kids');
is_refused(mine(-header => {kid => $_}), 'kid: is no string', by => 'kids') for 1, ['old'];
is_accepted(mine(-kid => 'any'), 'kid: is ignored where no key has one');
is_accepted(mine(-kid => 'any'), 'two keys without a name: the second', 'rotation');
is_accepted(mine(-kid => 'any', -key => $new), 'two keys without a name: the first', 'rotation');
is_refused(mine(-key => $new), 'the key of another configuration');

# What a header says of keys leads nowhere: a token is as good as its signature by our own key is, and
# nobody is asked for another.
{
    my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 10) or die "listen: $!\n";
    my $url = 'http://127.0.0.1:' . $listener->sockport . '/jwks.json';
    my $forger = scratch() . "/forger-$$.pem";

    system("openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out '$forger' 2>/dev/null") == 0
        or die "no key of a forger\n";
    my ($modulus) = `openssl rsa -in '$forger' -noout -modulus` =~ /=([0-9A-F]+)/;
    my $jwk = {kty => 'RSA', alg => 'RS256', use => 'sig', kid => 'f', e => 'AQAB', n => encode_base64url(pack 'H*', $modulus)};
    my ($der) = `openssl rsa -in '$forger' -pubout 2>/dev/null` =~ /-----\n(.*)-----END/s;
    my %header = (
        jku => $url, x5u => $url =~ s/jwks.json/x.pem/r, jwk => $jwk, x5c => [$der =~ s/\s//gr],
        x5t => 'A' x 27, 'x5t#S256' => 'A' x 43,
    );

    for my $names (['jku'], ['x5u'], ['jwk'], ['x5c'], [sort keys %header]) {
        my %these = map { $_ => $header{$_} } @$names;

        is_accepted(mine(-alg => $_, -header => \%these), "@$names: no matter to a good token, $_", 'algorithms')
            for qw(HS256 RS256 ES256);
        is_refused(mine(-alg => 'RS256', -key_file => $forger, -header => \%these), "@$names: does not verify, RS256",
            by => 'algorithms');
        is_refused(mine(-alg => 'RS256', -key_file => $forger, -kid => 'f', -header => \%these),
            "@$names: is not found by its kid", by => 'kids');
        is_refused(mine(-key => 'a forger knows this well enough, too', -header => {%these, jwk => {kty => 'oct',
            k => encode_base64url('a forger knows this well enough, too')}}), "@$names: a secret brought along is none");
    }
    is_refused(mine(-alg => 'RS256', -key_file => $forger), 'the key of a forger', by => 'algorithms');
    ok(!IO::Select->new($listener)->can_read(0), 'nobody has connected to where jku and x5u lead');
}

# --- Claims ---------------------------------------------------------------------------------------

$now = time; # what came before may have taken long
is_accepted(mine(exp => $now + 60), 'exp: to come');
is_refused(mine(exp => undef), 'exp: missing');
is_refused(mine(exp => $now - 1), 'exp: over');
is_refused(mine(exp => time), 'exp: now is over');
is_refused(mine(exp => 0), 'exp: 1970');
is_accepted(mine(exp => 9223372036854775807), 'exp: the greatest of 64 bits');
{
    my $head = '{"alg":"HS256","typ":"JWT"}';
    my $claims = sub {
        my ($exp) = @_;
        return token_bytes($head, qq({"sub":"$user->{email}","jti":"j$$","type":"access","exp":$exp}));
    };
    is_accepted($claims->($now + 60), 'exp: in bytes of its own');
    is_refused($claims->($_), "exp: $_") for $now + 60 . '.0', $now + 60 . '.5', '1e18',
        '"' . ($now + 60) . '"', 'null', 'true', '[]', '{}', '-1', '9223372036854775808',
        '18446744073709551616', '1' . '0' x 400, '';
    is_refused($claims->($now + 60 . qq(,"exp":) . ($now + 60)), 'exp: twice');
    is_refused($claims->($now + 60 . qq(,"sub":"$user->{email}")), 'sub: twice');
    is_refused(token_bytes("\xef\xbb\xbf$head", (split /\./, 'x')[0]), 'a BOM before the header');
}
is_accepted(mine(nbf => $now - 60), 'nbf: over');
is_accepted(mine(nbf => $now), 'nbf: now');
is_refused(mine(nbf => $now + 60), 'nbf: to come');
is_refused(mine(nbf => "$now"), 'nbf: is no number');
is_accepted(mine(iat => $now + 3600), 'iat: is no condition here');
is_refused(mine(iat => 'now'), 'iat: is no number');

is_refused(mine(type => undef), 'type: missing');
is_refused(mine(type => $_), "type: $_") for 'refresh', 'Access', 'access ', '';
is_refused(mine(type => {access => 1}), 'type: an object');
is_refused(mine(jti => undef), 'jti: missing');
is_refused(mine(jti => ''), 'jti: empty');
is_refused(mine(jti => 12), 'jti: a number');
is_refused(mine(jti => "a\nb"), 'jti: with a control character');
is_refused(mine(jti => 'x' x 513), 'jti: too long');
is_accepted(mine(jti => 'x' x 512), 'jti: long');
is_refused(mine(sub => undef), 'sub: missing');
is_refused(mine(sub => ''), 'sub: empty');
is_refused(mine(sub => $user->{id}), 'sub: a number');
is_refused(mine(sub => [$user->{email}]), 'sub: in an array');
is_refused(mine(sub => "$user->{email}\0"), 'sub: with NUL at its end');
is_refused(mine(sub => "$user->{email}x"), "sub: nobody's");
is_refused(mine(sub => "' OR email = '$user->{email}"), 'sub: with SQL in it');
is_refused(mine(sub => uc $user->{email}), 'sub: in upper case, which is another');

# iss, aud and a claim of their own, with a leeway of 60 s.
{
    my %good = (iss => 'https://login.example.com', aud => 'profile', tenant => 't1');
    my $with = sub { return mine(%good, @_) };

    is_accepted($with->(), 'claims: all of them', 'claims');
    is_accepted($with->(iss => 'https://old.example.com'), 'iss: the other one', 'claims');
    is_refused($with->(iss => $_), "iss: '$_'", by => 'claims')
        for 'https://login.example.com/', 'https://login.example.co', 'HTTPS://LOGIN.EXAMPLE.COM', '';
    is_refused($with->(iss => undef), 'iss: missing', by => 'claims');
    is_accepted($with->(aud => ['other', 'profile']), 'aud: one of an array', 'claims');
    is_accepted($with->(aud => ['profile']), 'aud: an array of it', 'claims');
    is_refused($with->(aud => undef), 'aud: missing', by => 'claims');
    is_refused($with->(aud => $_), 'aud: ' . (ref $_ ? "[@$_]" : $_), by => 'claims')
        for 'other', 'profile other', '', [], ['other'], ['profile', 7], [['profile']];
    is_refused($with->(aud => {profile => 1}), 'aud: an object', by => 'claims');
    is_accepted($with->(tenant => 'any'), 'a claim without values: any', 'claims');
    is_refused($with->(tenant => undef), 'a claim without values: missing', by => 'claims');
    is_refused($with->(tenant => ''), 'a claim without values: empty', by => 'claims');
    is_accepted($with->(exp => time - 30), 'leeway: exp, within', 'claims');
    is_refused($with->(exp => time - 60), 'leeway: exp, at its end', by => 'claims');
    is_accepted($with->(nbf => time + 50), 'leeway: nbf, within', 'claims');
    is_refused($with->(nbf => time + 90), 'leeway: nbf, beyond', by => 'claims');
    is_refused($with->(exp => -9223372036854775807), 'leeway: an exp that would overflow',
        by => 'claims');
    is_accepted($with->(nbf => -9223372036854775807), 'leeway: an nbf that would overflow', 'claims');
    is_accepted($with->(exp => 9223372036854775807), 'leeway: the greatest exp', 'claims');
}

# --- The header field -----------------------------------------------------------------------------

# Without a Bearer token: nothing was wrong with one, and error= is not said.
sub is_missing {
    my ($headers, $name, %option) = @_;
    my $res = me('GET', headers => $headers, %option);

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return is(join(' ', $res->code, json($res)->{code} // '', $res->header('WWW-Authenticate') // ''),
        '401 MISSING_TOKEN Bearer realm="FluentMeet"', $name);
}

is_missing([], 'Authorization: not there');
is_missing([Authorization => $_], "Authorization: $_")
    for 'Basic dTpw', 'Bearer', 'Bearer ', $token, "Bearer$token", "Token $token", "Bearer\t$token",
    "Bearer:$token", "Digest Bearer $token", '', 'DPoP x';
is_missing(['Proxy-Authorization' => "Bearer $token"], 'Proxy-Authorization is for others');
is_missing([Cookie => "access_token=$token; Authorization=Bearer $token"], 'a cookie is none');
is_missing(['X-Authorization' => "Bearer $token"], 'X-Authorization is none');
for my $query ("access_token=$token", "token=$token", "Authorization=Bearer%20$token") {
    is(request('GET', "$ME?$query")->code, 401, 'a token in the query is none');
}
is_error(me('PATCH', type => 'application/x-www-form-urlencoded', body => "access_token=$token"), 401,
    'MISSING_TOKEN', 'a token in the body is none');
is_profile(me('GET', headers => {Authorization => $_ . " $token"}), {}, "Authorization: $_")
    for 'Bearer', 'bearer', 'BEARER', 'bEaReR', 'Bearer ';
is_profile(me('GET', headers => {Authorization => "Bearer $token  "}), {}, 'spaces after the token');
is_refused("$token $token", 'two tokens');
is_refused("$token,", 'a comma after the token');
is_refused(qq("$token"), 'the token in quotes');
is_refused($_, "Bearer $_") for 'x', '.', '..', '...', 'x.y.z', 'null', "$token.x", "x.$token", '=';
is_refused($token =~ s/\./=./r, 'padding in the token');
is_refused('x' x 4097, 'a token of 4097 bytes');
is_refused(mine(fill => 'x' x 4000), 'a good token that is too long');
is_error(me('GET', headers => [Authorization => "Bearer $token", Authorization => "Bearer $token"]), 401,
    'INVALID_CREDENTIALS', 'two Authorization fields, both good');
is_error(me('GET', headers => [Authorization => "Bearer $token", Authorization => 'Basic dTpw']), 401,
    'INVALID_CREDENTIALS', 'two Authorization fields, the first good');
is(me('GET', headers => [Authorization => 'Basic dTpw', Authorization => "Bearer $token"])->code, 401,
    'two Authorization fields, the second good');

like(me('GET', $contracts->at('nojti'))->header('WWW-Authenticate'),
    qr/^Bearer realm="a \\"quoted\\" realm"$/, 'the realm is quoted');

# --- Revoked --------------------------------------------------------------------------------------

# How often Redis was asked whether there is a key.
sub asked {
    return if embedded;
    my ($calls) = (redis('INFO', 'commandstats')->{cmdstat_exists} // '') =~ /calls=(\d+)/;

    return $calls // 0;
}

for my $jti ("r-$$", "r-$$ %s%n%b", "r-$$*", "r-$$\\[x]?", "r-$$:\x{e9}\x{8a9e}", "r-$$\"'", 'x' x 512) {
    my $revoked = mine(jti => $jti);
    my $name = length $jti > 100 ? 'of 512 bytes' : $jti =~ s/[^ -~]/./gr;
    my $key = "blacklisted_access_token:$jti";

    utf8::encode($key);
    is_accepted($revoked, "jti $name: not revoked yet");
    redis('SET', $key, '1');
    is_refused($revoked, "jti $name: revoked", code => 'TOKEN_REVOKED');
    redis('DEL', $key);
    is_accepted($revoked, "jti $name: revoked no more");
}
{
    my $revoked = mine(jti => "v-$$");
    my $key = "blacklisted_access_token:v-$$";

    redis('SET', $key, '');
    is_refused($revoked, 'revoked, whatever the value', code => 'TOKEN_REVOKED');
    redis('DEL', $key);
    if (!embedded) {
        redis('HSET', $key, 'a', 'b');
        is_refused($revoked, 'revoked, whatever the type', code => 'TOKEN_REVOKED');
        redis('DEL', $key);
    }
    redis('SET', "blacklisted_access_token:V-$$", '1');
    redis('SET', "blacklisted_access_token:v-$$ ", '1');
    redis('SET', "v-$$", '1');
    redis('SET', "blacklisted_access_token:*", '1');
    is_accepted($revoked, 'not revoked, where only similar keys are there');
    redis('DEL', "blacklisted_access_token:V-$$", "blacklisted_access_token:v-$$ ", "v-$$",
        'blacklisted_access_token:*');

    my $count = asked();
    is_accepted(mine(), 'a token with jti');
    cmp_ok(asked(), '>', $count, 'asks the token store') unless embedded;
    $count = asked();
    is_accepted(mine(jti => undef), 'a token without jti, where none is required', 'nojti');
    is(asked(), $count, 'does not ask the token store');
    redis('SET', $key, '1');
    is(get($revoked, 'nojti')->code, 401, 'a jti is looked up where none is required');
    redis('DEL', $key);
    $count = asked();
    is_refused(mine(exp => $now - 5), 'a token that is no good');
    is_refused(mine(-key => 'x' x 40), 'a token of a forger');
    is(asked(), $count, 'does not ask the token store either');
}

# --- What decides first ---------------------------------------------------------------------------

{
    my $revoked = mine(jti => "o-$$");
    my $forged = mine(-key => 'x' x 40, jti => "o-$$");
    my $late = mine(jti => "o-$$", exp => $now - 5);
    my $deleted = user_new(deleted_at => '2026-01-01', is_active => 0);
    my $deactivated = user_new(is_active => 0);
    my $assets = storage('assets')->{count};
    my $row = user_row($deleted->{id});
    my %as = (
        nobody => token(sub => "nobody-$$\@example.com"),
        deleted => token(sub => $deleted->{email}),
        deactivated => token(sub => $deactivated->{email}),
    );
    my $decides = sub {
        my ($method, $text, $status, $code, $name, %option) = @_;
        my $path = delete $option{path} // $ME;

        local $Test::Builder::Level = $Test::Builder::Level + 1;
        is_error(request($method, $path, token => $text, %option), $status, $code, "order: $name");
    };

    redis('SET', "blacklisted_access_token:o-$$", '1');
    $decides->('POST', $forged, 401, 'INVALID_CREDENTIALS', 'the signature before its revocation');
    $decides->('POST', $late, 401, 'INVALID_CREDENTIALS', 'its end before its revocation');
    $decides->('POST', $revoked, 401, 'TOKEN_REVOKED', 'its revocation before 405');
    $decides->('GET', $revoked, 401, 'TOKEN_REVOKED', 'its revocation before 404', path => "$ME/x");
    my %role = (path => '/role/me', vhost => 'guards');
    $decides->('POST', $revoked, 401, 'TOKEN_REVOKED', 'its revocation before the role', %role);
    $decides->('POST', $forged, 401, 'INVALID_CREDENTIALS', 'the signature before the role', %role);
    $decides->('POST', mine(roles => ['guest']), 403, 'INSUFFICIENT_ROLE', 'the role before 405', %role);
    $decides->('PATCH', mine(), 403, 'INSUFFICIENT_ROLE', 'the role before 415', %role,
        type => 'text/plain', body => 'x');
    $decides->('GET', $as{deleted}, 403, 'INSUFFICIENT_ROLE', 'the role before the account', %role);
    $decides->('POST', mine(roles => ['viewer']), 405, 'METHOD_NOT_ALLOWED', 'then 405', %role);
    is_profile(request('GET', '/role/me', vhost => 'guards', token => mine(roles => ['viewer'])), {},
        'order: and with all that, the profile');
    $decides->('POST', $as{$_}, 405, 'METHOD_NOT_ALLOWED', "405 before the account, $_",
        type => 'text/plain', body => 'x') for sort keys %as;

    my $large = '{"full_name":"' . 'x' x 70_000 . '"}';
    for my $who (sort keys %as) {
        my @as = ('PATCH', $as{$who});
        $decides->(@as, 415, 'UNSUPPORTED_MEDIA_TYPE', "415 before the account, $who",
            type => 'text/plain', body => 'x');
        $decides->(@as, 415, 'UNSUPPORTED_MEDIA_TYPE', "415 before 413, $who", type => 'text/plain',
            body => $large);
        $decides->(@as, 413, 'BODY_TOO_LARGE', "413 before the account, $who",
            type => 'application/json', body => $large);
        $decides->(@as, 400, 'MALFORMED_JSON', "400 before the account, $who",
            type => 'application/json', body => '{');
        $decides->(@as, 400, 'VALIDATION_ERROR', "invalid values before the account, $who",
            json => {full_name => 'x' x 256});
        $decides->(@as, 400, 'INVALID_LANGUAGE_CODE', "an invalid language before the account, $who",
            json => {speaking_language => 'xx'});
        $decides->('DELETE', $as{$who}, 400, 'VALIDATION_ERROR', "a wrong query before the account, $who",
            path => "$ME?hard=maybe");
        $decides->('PUT', $as{$who}, 400, 'INVALID_FILE_TYPE', "what is no picture before the account, $who",
            path => "$ME/avatar", type => 'image/png', body => 'GIF89a');
    }
    my %then = (nobody => [401, 'INVALID_CREDENTIALS'], deleted => [403, 'ACCOUNT_DELETED'],
        deactivated => [403, 'ACCOUNT_DEACTIVATED']);
    for my $who (sort keys %then) {
        my %never = (headers => {'If-Match' => '"never"'});
        $decides->('PATCH', $as{$who}, @{$then{$who}}, "$who before 412", json => {full_name => 'x'},
            %never);
        $decides->('PATCH', $as{$who}, @{$then{$who}}, "$who before 412, with nothing to write",
            json => {}, %never);
        $decides->('DELETE', $as{$who}, @{$then{$who}}, "$who before 412, DELETE", %never);
        $decides->('PUT', $as{$who}, @{$then{$who}}, "$who before 412, avatar", path => "$ME/avatar",
            type => 'image/png', body => png(), %never);
    }
    is(storage('assets')->{count}, $assets, 'order: nothing was uploaded for any of them');
    is_deeply(user_row($deleted->{id}), $row, 'order: and nothing has changed');
    redis('DEL', "blacklisted_access_token:o-$$");
}

# --- A body that was not read ---------------------------------------------------------------------

{
    my $auth = "Authorization: Bearer $token\r\n";
    my $inner = "DELETE $ME HTTP/1.1\r\nHost: x\r\n$auth\r\n";
    my $good = "GET $ME HTTP/1.1\r\nHost: x\r\n$auth" . "Connection: close\r\n\r\n";
    my $length = 'Content-Length: ' . length($inner) . "\r\n";
    my $chunk = sprintf("%x\r\n%s\r\n0\r\n\r\n", length $inner, $inner);
    my %refused = (
        'no token' => ['', 401],
        'a bad token' => ["Authorization: Bearer x.y.z\r\n", 401],
        'a good token, but no JSON' => [$auth . "Content-Type: text/plain\r\n", 415],
    );

    for my $name (sort keys %refused) {
        my ($headers, $status) = @{$refused{$name}};
        my $start = "PATCH $ME HTTP/1.1\r\nHost: x\r\n$headers";
        my %body = (
            'a body' => "$start$length\r\n$inner$good",
            'a chunked body' => "${start}Transfer-Encoding: chunked\r\n\r\n$chunk$good",
            'a body that never comes' => "${start}Content-Length: 1000\r\n\r\n",
            'a chunk that never comes' => "${start}Transfer-Encoding: chunked\r\n\r\n",
            'a body that waits for 100' => "${start}Expect: 100-continue\r\n$length\r\n",
            'a large body' => "${start}Content-Length: 50000000\r\n\r\n" . 'x' x 100_000,
        );
        for my $kind (sort keys %body) {
            my ($answer, $closed) = raw($body{$kind}, timeout => 4);
            my @statuses = $answer =~ m{HTTP/1\.1 (\d+)}g;
            is("@statuses", $status, "$name, $kind: one answer, and no other");
            ok($closed, "$name, $kind: the connection is closed, and not by a timeout");
            like($answer, qr/^Connection: close\r$/m, "$name, $kind: and the client is told so")
        }
    }
    my ($answer) = raw("GET $ME HTTP/1.1\r\nHost: x\r\n\r\n$good");
    is(join(' ', $answer =~ m{HTTP/1\.1 (\d+)}g), '401 200',
        'a 401 without a body leaves the connection open');
    my ($guarded, $closed) = raw("POST /guarded/ HTTP/1.1\r\nHost: x\r\n$length\r\n$inner$good");
    is(join(' ', $guarded =~ m{HTTP/1\.1 (\d+)}g), '401', 'a guarded place: the same');
    ok($closed, 'a guarded place: closed');
    is_deeply(user_row($user->{id}), $before, 'nothing in an unread body was done');
}

# --- No token in a log ----------------------------------------------------------------------------

{
    # Without http:trace4, where httpd itself writes down all header fields of all requests.
    my $node = node(conf => contract() . $GUARDED . <<'CONF')->start;
LogLevel trace8 http:trace3
CONF
    my %at = (port => $node->{port});
    my $alg = mine(-header => {alg => 'none'});
    my %tokens = (good => mine(), expired => mine(exp => 1), forged => mine(-key => 'x' x 40),
        'without jti' => mine(jti => undef), nobody => token(sub => "n-$$\@example.com"),
        'of no algorithm' => $alg, revoked => mine(jti => "l-$$"), 'in two parts' => 'abcdefgh.ijklmnop',
        malformed => "nonsense-$$-nonsense", long => 'x' x 4100, 'base64url' => 'Zm9v!.Zm9v!.Zm9v!');

    redis('SET', "blacklisted_access_token:l-$$", 1);
    for my $name (sort keys %tokens) {
        my $text = $tokens{$name};
        request('GET', $ME, token => $text, %at);
        request('PATCH', $ME, token => $text, %at, json => {full_name => 'A'});
        request('PATCH', $ME, token => $text, %at, type => 'text/plain', body => 'x');
        request('GET', '/guarded/', token => $text, %at);
        request('TRACE', $ME, token => $text, %at);
        request('DELETE', "$ME/x", token => $text, %at);
    }
    redis('DEL', "blacklisted_access_token:l-$$");
    $node->stop;
    my $log = slurp($node->{error_log}) . slurp("$node->{dir}/access_log");
    like($log, qr/userprofile:info.*Token refused/, 'the log says why a token was refused');
    like($log, qr/:trace[5-8]\]/, 'the log has all that httpd has to say');
    for my $name (sort keys %tokens) {
        my @found = grep { length > 7 && index($log, $_) >= 0 } $tokens{$name}, split /\./, $tokens{$name};
        is(scalar(@found), 0, "no part of the token is in a log: $name");
    }
}

is(user_row($user->{id})->{email}, $user->{email}, 'the user is as before');

done_testing();
