#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# ETag, If-Match and If-None-Match: the tag is that of the profile, the same in C and in SQL and on
# all nodes, and of two clients that send the same tag at once exactly one wins.
use strict;
use warnings;
use utf8;
use Cwd qw(getcwd);
use HTTP::Response ();
use IO::Socket::INET ();
use JSON::PP ();
use Test::More;
use UserProfile::Httpd ();
use UserProfile::Test;

my $JSON = JSON::PP->new->utf8->canonical->allow_nonref;
my $LONG_AGO = '2020-02-02 02:02:02+00';
redis('FLUSHALL');

sub someone {
    my $user = user_new(full_name => 'Ada Lovelace', listening_language => 'fr',
        updated_at => $LONG_AGO, @_);

    return ($user, token(sub => $user->{email}));
}

sub tag_of {
    my ($token, %option) = @_;

    return me('GET', token => $token, %option)->header('ETag');
}

sub if_match {
    my ($token, $tag, $json, %option) = @_;

    return me('PATCH', token => $token, json => $json, headers => {'If-Match' => $tag}, %option);
}

sub keys_of_redis {
    my @names = redis('KEYS', '*');

    return join ' ', sort @names;
}

# All that a refused request could have changed.
sub everything {
    my ($id) = @_;

    return {row => user_row($id), redis => keys_of_redis(), storage => storage('requests')->{count},
        journal => db()->selectall_arrayref('SELECT * FROM userprofile_journal ORDER BY id')};
}

# --- What a tag is a function of ------------------------------------------------------------------

{
    my ($user, $token) = someone(avatar_url => 'https://example.com/1.png');
    my %seen = (tag_of($token) => 'the row as it was');
    my %change = (
        full_name => ['Ada', undef, '', '-', "Ada Lovelac\x{e9}"], avatar_url => [undef, '-', 'x'],
        speaking_language => ['de', 'fr'], listening_language => ['de', 'en'], is_verified => ['t'],
        created_at => ['2026-03-14 12:00:00+00', '2026-03-14 12:00:00.5+00',
            '2026-03-14 12:00:00.000001+00'],
        id => [$user->{id} + 1_000_000],
    );

    like(tag_of($token), qr/\A"[0-9a-f]{32}"\z/, 'a tag is 128 bits in hex');
    is(tag_of($token), tag_of($token), 'it stays while the row stays');
    is(me('HEAD', token => $token)->header('ETag'), tag_of($token), 'HEAD has the same');
    for my $column (sort keys %change) {
        for my $value (@{$change{$column}}) {
            my $name = "$column " . (defined $value ? "'" . $JSON->encode($value) . "'" : 'NULL');
            my $id = $column eq 'id' ? $value : $user->{id};

            db()->do("UPDATE users SET $column = ? WHERE id = ?", undef, $value, $user->{id});
            my $tag = tag_of($token);
            is($seen{$tag}, undef, "$name: a tag that no other row had");
            $seen{$tag} = $name;
            is(if_match($token, $tag, {speaking_language => 'pt'})->code, 200,
                "$name: the same tag in SQL");
            is(user_row($id)->{speaking_language}, 'pt', "$name: written");
            db()->do('DELETE FROM users WHERE id = ?', undef, $id);
            db()->do('INSERT INTO users (' . join(', ', sort keys %$user) . ') VALUES ('
                . join(', ', ('?') x keys %$user) . ')', undef, @$user{sort keys %$user});
        }
    }
    my $tag = tag_of($token);
    db()->do('UPDATE users SET hashed_password = ?, updated_at = now() WHERE id = ?', undef, 'x',
        $user->{id});
    is(tag_of($token), $tag, 'columns that are no fields do not count');
}
{
    my ($user, $token) = someone(full_name => 'ab', avatar_url => 'c');
    my $tag = tag_of($token);

    db()->do("UPDATE users SET full_name = 'a', avatar_url = 'bc' WHERE id = ?", undef, $user->{id});
    isnt(tag_of($token), $tag, 'what moves from one column to the next shows');
    is_error(if_match($token, $tag, {full_name => 'x'}), 412, 'PRECONDITION_FAILED', 'in SQL too');
}

# The same in C and in SQL, for rows of all kinds; and a change of one shows in SQL.
my @rows = (
    {full_name => undef, avatar_url => undef}, {full_name => '', avatar_url => ''},
    {full_name => '-'}, {full_name => '1:-'}, {full_name => "Zo\x{eb} \x{1f600} \x{10ffff}\x{5d0}\x{202e}"},
    {full_name => "e\x{301}"}, {full_name => '"\'\\{},%s$1'}, {full_name => "a\tb\n"},
    {full_name => "\x{1f600}" x 255}, {avatar_url => 'https://example.com/' . 'x' x 1000},
    {created_at => '2026-03-14 12:00:00.123456+00'}, {created_at => '2026-03-14 12:00:00.1+00'},
    {created_at => '1969-12-31 23:59:59.999999+00'}, {created_at => '2026-03-14 12:00:00+05:45'},
    {created_at => '0001-01-01 00:00:00+00'},
    map({ {created_at => $_} } embedded ? () : ('0044-03-15 12:00:00+00 BC', '12026-01-01 00:00:00+00',
        'infinity', '-infinity')),
    {is_verified => 1}, {id => 9_223_372_036_854_775_807}, {id => -1}, {id => 0},
    {email => "zo\x{eb}\@ex\x{e4}mple.com"}, {email => q(o'"\\{},;`$(x)@example.com)},
    {speaking_language => 'x' x 35},
);
for my $columns (@rows) {
    my ($user, $token) = someone(%$columns);
    my $name = substr $JSON->encode($columns), 0, 60;
    # A time that RFC 3339 cannot say is none of the document's.
    my %keep = (keep => ($columns->{created_at} // '') !~ /BC|^\d{5}|infinity/);
    my $tag = tag_of($token, %keep);

    is_profile(if_match($token, $tag, {listening_language => 'de'}, %keep), {listening_language => 'de'},
        "$name: the same tag in C and in SQL");
    is_deeply({%{user_row($user->{id})}, updated_at => ''},
        {%$user, listening_language => 'de', updated_at => ''}, "$name: nothing else is written");
    is_error(if_match($token, $tag, {listening_language => 'es'}), 412, 'PRECONDITION_FAILED',
        "$name: then the tag is stale");
    is(if_match($token, tag_of($token, %keep), {}, %keep)->code, 200, "$name: the new one is good for {}");
    db()->do('DELETE FROM users WHERE id = ?', undef, $user->{id});
}

# --- Lists, weak tags, nonsense -------------------------------------------------------------------

{
    my ($user, $token) = someone();
    my $good = tag_of($token);
    my $bare = $good =~ s/"//gr;
    my $stale = '"' . '0' x 32 . '"';
    my @match = (
        $good, '*', ' * ', "$stale, $good", "$good, $stale", "$stale,$good", ", ,$good,",
        qq("x", "y,z", $good), qq("", $good), "W/$stale, $good", "W/$good, $good",
        qq("$bare-gzip"), qq("$bare-br"), qq($stale, "$bare-gzip"), qq("a b", $good),
        qq("\\", $good), qq("\xe9", $good), (join ', ', ($stale) x 200, $good),
    );
    my @fail = (
        $stale, $bare, "'$bare'",
        # weak
        "W/$good", qq(W/"$bare-gzip"), "w/$good", "W/ $good", qq("W/$bare"), qq(W/$good, W/*),
        # nearly the tag
        qq("$bare), qq($bare"), qq("$bare "), qq(" $bare"), qq("${bare}0"), '"' . uc($bare) . '"',
        '"' . uc($bare) . 'A"', '"' . substr($bare, 1) . '"', qq("$bare"-gzip), qq("$bare-deflate"),
        qq("$bare-gzip-gzip-x"), qq("$bare;gzip"),
        # not *
        '"*"', '**', '*, "x"', '"x", *', "*, $good",
        # no list, or nothing in it
        '""', '"', ',', "x, $good", qq("x, $good), "W/x, $good", "$good x", "${good}x", "$good;q=1",
        "$good $good", "$good/", qq($good"), (join ',', ('""') x 1000),
        # what would be another array, or other SQL, if it were put into one
        '{}', '"{}"', '"{NULL}"', '"NULL"', 'NULL', qq("$bare}"), qq("{$bare}"), qq("x,$bare"),
        qq("x\\",$bare,\\""), qq("},{$bare"), qq("x",{$bare}), '"\\"', '"\\\\"', '"\'"', '"$2"',
        qq("'\) OR true --"), '"%s%n"', '"' . 'a' x 4000 . '"', '"' . '{' x 1000 . '"',
    );

    for my $header (@match) {
        my ($someone, $its) = ($user, $token);
        my $name = 'If-Match: ' . substr $JSON->encode($header), 0, 60;

        # The same values once more, so that the tag stays.
        is_profile(if_match($its, $header, {full_name => 'Ada Lovelace'}),
            {full_name => 'Ada Lovelace'}, "$name matches");
        isnt(user_row($user->{id})->{updated_at}, $user->{updated_at}, "$name: written");
        is(tag_of($its), $good, "$name: what leaves the profile as it was keeps the tag");
        is_profile(if_match($its, $header, {}), {}, "$name with {} matches");
        db()->do('UPDATE users SET updated_at = ? WHERE id = ?', undef, $LONG_AGO, $user->{id});
        $user = user_row($user->{id});
    }
    wait_for(10, sub { !@{everything($user->{id})->{journal}} });
    my $before = everything($user->{id});
    for my $header (@fail) {
        my $name = 'If-Match: ' . substr $JSON->encode($header), 0, 60;

        is_error(if_match($token, $header, {full_name => 'Eve'}), 412, 'PRECONDITION_FAILED',
            "$name does not match");
        is_error(if_match($token, $header, {}), 412, 'PRECONDITION_FAILED',
            "$name with {} does not match");
        is_error(if_match($token, $header, {nickname => 'Eve'}), 412, 'PRECONDITION_FAILED',
            "$name with nothing to be written does not match");
        is_deeply(everything($user->{id}), $before, "$name: nothing is changed");
    }

    # Empty, as LWP would not send it; and in two fields, which are one list (RFC 9110, 5.3).
    my $send = sub {
        my $body = '{"full_name":"Eve"}';
        return HTTP::Response->parse(scalar raw("PATCH $ME HTTP/1.1\r\nHost: localhost\r\n"
            . "Authorization: Bearer $token\r\nContent-Type: application/json\r\nConnection: close\r\n"
            . 'Content-Length: ' . length($body) . "\r\n" . join('', map { "If-Match:$_\r\n" } @_)
            . "\r\n$body"));
    };
    is_error($send->(''), 412, 'PRECONDITION_FAILED', 'If-Match without a value does not match');
    is_error($send->('  '), 412, 'PRECONDITION_FAILED', 'If-Match with blanks does not match');
    is_error($send->($stale, $stale), 412, 'PRECONDITION_FAILED', 'two fields with stale tags');
    is_deeply(everything($user->{id}), $before, 'nothing is changed');
    is_profile($send->($stale, $good), {full_name => 'Eve'}, 'two fields are one list');
    is_error($send->($stale, $good), 412, 'PRECONDITION_FAILED', 'and then it is stale');
}

# --- Every write ----------------------------------------------------------------------------------

{
    my $picture = [{name => 'avatar', filename => 'a.png', type => 'image/png', body => png()}];
    my @writes = (
        ['PATCH with JSON', 'PATCH', '', json => {full_name => 'Eve'}],
        ['PATCH with a form', 'PATCH', '', form => [{name => 'full_name', body => 'Eve'}]],
        ['PATCH with a picture', 'PATCH', '', form => [{name => 'full_name', body => 'Eve'}, @$picture]],
        ['PUT of a picture', 'PUT', '/avatar', body => png(), type => 'image/png'],
        ['POST of a picture in a form', 'POST', '/avatar', form => $picture],
        ['DELETE of a picture', 'DELETE', '/avatar'],
        ['DELETE', 'DELETE', ''],
        ['DELETE with hard=true', 'DELETE', '?hard=true'],
    );

    for my $case (@writes) {
        my ($name, $method, $path, @body) = @$case;
        my ($user, $token) = someone(avatar_url => 'https://elsewhere.example/social.png');
        my $session = "refresh_token:$user->{email}:1";
        my $write = sub {
            return request($method, "$ME$path", token => $token, @body, headers => {'If-Match' => $_[0]});
        };

        redis('SET', $session, 1);
        db()->do('INSERT INTO participants (user_id) VALUES (?)', undef, $user->{id});
        my $stale = tag_of($token);
        is_profile(if_match($token, $stale, {full_name => 'Somebody else was here'}), {},
            "$name: another client is faster");
        wait_for(10, sub { !@{everything($user->{id})->{journal}} });
        my $before = everything($user->{id});
        for my $header ($stale, 'W/' . tag_of($token), '', '"{}"') {
            is_error($write->($header eq '' ? '""' : $header), 412, 'PRECONDITION_FAILED',
                "$name: $header does not match");
            is_deeply(everything($user->{id}), $before, "$name: $header: nothing is changed");
        }
        is(db()->selectrow_array('SELECT count(*) FROM participants WHERE user_id = ?', undef,
            $user->{id}), 1, "$name: nor in a related table");
        is($write->('"x", ' . tag_of($token))->code, 200, "$name: the right tag matches");
        isnt($JSON->encode(user_row($user->{id})), $JSON->encode($before->{row}), "$name: it is done");
        redis('DEL', $session);
    }
}
{
    my ($user, $token) = someone();

    is(me('DELETE', token => $token, headers => {'If-Match' => '*'})->code, 200, 'DELETE with *');
    is_error(if_match($token, $_, {full_name => 'x'}), 401, 'TOKEN_REVOKED', "the token goes before $_")
        for '*', '"x"';
    $token = token(sub => $user->{email});
    is_error(if_match($token, $_, {full_name => 'x'}), 403, 'ACCOUNT_DELETED', "deleted goes before $_")
        for '*', '"x"';
    is_error(if_match($token, $_, {}), 403, 'ACCOUNT_DELETED', "deleted goes before $_ with {}")
        for '*', '"x"';
    db()->do('UPDATE users SET deleted_at = NULL WHERE id = ?', undef, $user->{id});
    is_error(if_match($token, $_, {full_name => 'x'}), 403, 'ACCOUNT_DEACTIVATED',
        "deactivated goes before $_") for '*', '"x"';
    my $nobody = token(sub => 'nobody@example.com');
    is_error(if_match($nobody, $_, {full_name => 'x'}), 401, 'INVALID_CREDENTIALS',
        "no such user goes before $_") for '*', '"x"';
}
{
    my ($user, $token) = someone();

    is_error(if_match($token, '"x"', {full_name => 1}), 400, 'VALIDATION_ERROR',
        'an invalid value goes before a stale tag');
    is_error(me('PATCH', token => $token, body => '[]', type => 'application/json',
        headers => {'If-Match' => '"x"'}), 400, 'MALFORMED_JSON', 'so does a malformed body');
    is_error(me('PATCH', token => $token, body => '{}', type => 'text/plain',
        headers => {'If-Match' => '"x"'}), 415, 'UNSUPPORTED_MEDIA_TYPE', 'and a media type');
    is_deeply(user_row($user->{id}), $user, 'nothing is written');
}

# --- If-None-Match --------------------------------------------------------------------------------

{
    my ($user, $token) = someone();
    my $good = tag_of($token);
    my $bare = $good =~ s/"//gr;
    my @known = ($good, "W/$good", '*', "\"x\", $good", "$good,\"x\"", "W/\"x\" , W/$good", "\"$bare-gzip\"",
        "W/\"$bare-gzip\"", "\"$bare-br\"", "\"a,b\",$good");
    my @unknown = ('"x"', 'W/"x"', $bare, "\"$bare", '"' . uc($bare) . '"', "\"$bare-x\"", '""', ',', '"*"',
        "\"${bare}0\"", '*x', "x, $good");

    for my $method (qw(GET HEAD)) {
        for my $header (@known) {
            my $name = "$method, If-None-Match: $header";
            my $response = me($method, token => $token, headers => {'If-None-Match' => $header});

            is($response->code, 304, "$name: not modified");
            is($response->content, '', "$name: no body");
            is_deeply([map { scalar $response->header($_) } qw(ETag Cache-Control Vary Content-Type)],
                [$good, 'private, no-cache', 'Authorization', undef], "$name: its headers");
            is($response->header('X-Content-Type-Options'), 'nosniff', "$name: nosniff");
        }
        for my $header (@unknown) {
            my $response = me($method, token => $token, headers => {'If-None-Match' => $header});

            is($response->code, 200, "$method, If-None-Match: $header: the profile");
            is($response->header('ETag'), $good, "$method, If-None-Match: $header: and its tag");
        }
    }
    me('PATCH', token => $token, json => {full_name => 'Eve'});
    is_profile(me('GET', token => $token, headers => {'If-None-Match' => $good}), {full_name => 'Eve'},
        'If-None-Match after a change: the profile');
    isnt(me('PATCH', token => $token, json => {full_name => 'Eve'},
        headers => {'If-None-Match' => $_})->code, 304, "a PATCH is never \"not modified\": $_")
        for tag_of($token), '*';
    is_error(me('GET', headers => {'If-None-Match' => '*'}), 401, 'MISSING_TOKEN',
        'nobody is told "not modified"');
    db()->do('UPDATE users SET is_active = false WHERE id = ?', undef, $user->{id});
    is_error(me('GET', token => $token, headers => {'If-None-Match' => '*'}), 403,
        'ACCOUNT_DEACTIVATED', 'nor is who is deactivated');
}

# --- Two nodes, and what compresses ---------------------------------------------------------------

SKIP: {
    my %filter = (deflate => ['DEFLATE', 'gzip'], brotli => ['BROTLI_COMPRESS', 'br']);
    my ($folder) = UserProfile::Httpd::load_modules('event', '') =~ m{"(.*)/mod_mpm_event\.so"};
    my @loaded = grep { -e "$folder/mod_$_.so" } sort keys %filter;
    my $conf = join '', map { qq(LoadModule ${_}_module "$folder/mod_$_.so"\n) } @loaded;
    $conf .= 'SetOutputFilter ' . join(';', map { $filter{$_}[0] } @loaded) . "\n" if @loaded;
    my $other = node(conf => $conf . contract())->start;
    my %there = (port => $other->{port});
    my ($user, $token) = someone(full_name => "Zo\x{eb}", created_at => '2026-03-14 12:00:00.25+00');
    my $tag = tag_of($token);

    is(tag_of($token, %there), $tag, 'another node has the same tag');
    is_profile(if_match($token, $tag, {full_name => 'A'}, %there), {full_name => 'A'},
        'and takes that of the first');
    is_error(if_match($token, $tag, {full_name => 'B'}), 412, 'PRECONDITION_FAILED',
        'which is stale on both then');
    is(tag_of($token, %there), tag_of($token), 'they have the same new one');
    is(me('GET', token => $token, headers => {'If-None-Match' => tag_of($token, %there)})->code, 304,
        'which is known to the first');

    @loaded or skip 'neither mod_deflate nor mod_brotli is there', 1;
    for my $module (@loaded) {
        my $coding = $filter{$module}[1];
        my $coded = me('GET', token => $token, %there, headers => {'Accept-Encoding' => $coding});
        my $its = $coded->header('ETag');

        is($coded->header('Content-Encoding'), $coding, "mod_$module encodes the answer");
        is($its, tag_of($token) =~ s/"\z/-$coding"/r, "mod_$module makes another tag of it");
        is(me('GET', token => $token, %there, headers => {'If-None-Match' => $its,
            'Accept-Encoding' => $coding})->code, 304, "mod_$module: its tag is known");
        is(if_match($token, $its, {full_name => $module}, %there)->code, 200,
            "mod_$module: its tag matches");
        is_error(if_match($token, $its, {full_name => 'x'}, %there), 412, 'PRECONDITION_FAILED',
            "mod_$module: and is stale then");
    }
}

# --- A column that counts ------------------------------------------------------------------------

{
    my $conf = slurp(embedded ? 'conf/embedded.conf' : 'conf/fluentmeet.conf');
    $conf =~ s/^(UserProfileTable\s+).*/$1versioned_users/m;
    $conf =~ s/^(UserProfileStateColumns .*)/$1 version=version/m or die 'no UserProfileStateColumns';
    if (embedded) {
        my ($table) = db()->selectrow_array(q(SELECT sql FROM sqlite_schema WHERE name = 'users'));
        db()->do($table =~ s/TABLE users \(/TABLE versioned_users (version bigint DEFAULT 7, /r);
    } else {
        db()->do('CREATE TABLE versioned_users (LIKE users INCLUDING ALL, version bigint DEFAULT 7)');
        db()->do('GRANT ALL ON versioned_users TO ' . servers()->{role});
    }
    my ($user, $other) = map {
        db()->selectrow_hashref('INSERT INTO versioned_users (email, full_name) VALUES (?, ?) RETURNING *',
            undef, "$_\@example.com", 'Ada')
    } qw(versioned other);
    my $node = node(conf => $conf, defines => {USERPROFILE_SWEEP => 0})->start;
    my %there = (port => $node->{port});
    my $token = token(sub => $user->{email});
    my $row = sub {
        return db()->selectrow_hashref('SELECT full_name, version FROM versioned_users WHERE id = ?',
            undef, $user->{id});
    };
    # What stands before the version tells one user's tags from another's.
    my ($start) = tag_of($token, %there) =~ /\A"(.*[^0-9])7"\z/;
    my $tag = sub { qq("$start$_[0]") };

    ok(defined $start, 'the tag ends in the version');
    is_profile(me('PATCH', token => $token, json => {full_name => 'B'}, %there), {full_name => 'B'},
        'a version is no field');
    is(tag_of($token, %there), $tag->(8), 'a write counts it up');
    is(me('PATCH', token => $token, json => {full_name => 'B'}, %there)->header('ETag'), $tag->(9),
        'so does one that leaves the profile as it was');
    is(me('PATCH', token => $token, json => {}, %there)->header('ETag'), $tag->(9),
        'one that writes nothing does not');
    is_profile(if_match($token, $_, {full_name => 'B'}, %there), {}, "the version: $_ matches")
        for $tag->(9), $tag->(9) . ', ' . $tag->(10), $tag->('11-gzip'), '*', $tag->('13-br') . ', "x"';
    is($row->()->{version}, 14, 'each of them counted');
    for my $header ($tag->(13), $tag->(15), 'W/' . $tag->(14), $tag->(14) =~ s/"//gr, '"14"', '"-14"',
        (map { $tag->($_) } '014', '+14', '14.0', ' 14', '0xe', '14}', '14,13', '14-', '-14', ''),
        tag_of(token(sub => $other->{email}), %there) =~ s/7"\z/14"/r, '""', '"{}"', '"NULL"', '"-"', '"--"',
        '"a-b"', '"' . '9' x 32 . '"', $tag->('9' x 30)) {
        is_error(if_match($token, $header, {full_name => 'C'}, %there), 412, 'PRECONDITION_FAILED',
            "the version: $header does not match");
        is_error(if_match($token, $header, {}, %there), 412, 'PRECONDITION_FAILED',
            "the version: $header with {} does not match");
        is_deeply($row->(), {full_name => 'B', version => 14}, "the version: $header: nothing is written");
    }
    is(me('GET', token => $token, headers => {'If-None-Match' => $tag->(14)}, %there)->code, 304,
        'a version that is known is not sent again');
    for my $version (-5, 9_007_199_254_740_993, undef) {
        my $name = 'the version ' . ($version // 'NULL');

        db()->do('UPDATE versioned_users SET version = ? WHERE id = ?', undef, $version, $user->{id});
        my $its = tag_of($token, %there);
        is_profile(if_match($token, $its, {full_name => 'D'}, %there), {full_name => 'D'},
            "$name: its tag matches");
        is($row->()->{version}, ($version // 0) + 1, "$name: and it is counted up");
        is_error(if_match($token, $its, {full_name => 'E'}, %there), 412, 'PRECONDITION_FAILED',
            "$name: and is stale then");
    }
    my @codes = sort map { $_->code } at_once({%there, token => $token},
        map { ['If-Match: ' . $tag->(1) . "\r\n", {full_name => "E $_"}] } 0 .. 15);
    is("@codes", join(' ', 200, (412) x 15), 'of 16 clients with one version one wins');
    is($row->()->{version}, 2, 'and it is counted once');
    is(db()->selectrow_array('SELECT version FROM versioned_users WHERE id = ?', undef, $other->{id}), 7,
        "nobody else's is");
    $node->stop;
    db()->do('DROP TABLE versioned_users');
}

# --- At once --------------------------------------------------------------------------------------

# Sends all requests but for their last byte, then that, and reads all answers. The first argument
# is a hash of the token and, where it is not the main server, the port.
sub at_once {
    my ($to, @requests) = @_;
    my ($port) = url('/', %$to) =~ /:(\d+)/;
    my @sockets = map {
        my ($headers, $json) = @$_;
        my $body = $JSON->encode($json);
        my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port) or die $!;
        my $bytes = "PATCH $ME HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer $to->{token}\r\n"
            . "Content-Type: application/json\r\nConnection: close\r\n${headers}Content-Length: "
            . length($body) . "\r\n\r\n$body";
        print {$socket} substr $bytes, 0, -1;
        $socket->flush;
        $socket;
    } @requests;

    syswrite $_, '}' for @sockets;
    return map { local $/; HTTP::Response->parse(scalar readline $_) } @sockets;
}

{
    my ($user, $token) = someone();
    my @languages = qw(ar cs da de el en es fi fr hu it ja nl pl pt sv);
    my (@wrong, $before);

    for my $round (1 .. 20) {
        my $tag = tag_of($token);
        # Each changes something: full_name says who it was.
        my @answers = at_once({token => $token}, map {
            ["If-Match: $tag\r\n", {full_name => "$round $_", listening_language => $languages[$_]}]
        } 0 .. 15);
        my %codes;
        $codes{$_->code}++ for @answers;
        my ($winner) = grep { $answers[$_]->code == 200 } 0 .. 15;
        my $row = user_row($user->{id});
        my $is = join ' ', (map { "$_: $codes{$_}" } sort keys %codes), $row->{full_name},
            $row->{listening_language};
        my $should = join ' ', '200: 1', '412: 15', "$round " . ($winner // '?'),
            $languages[$winner // 0];
        push @wrong, "round $round: $is, not $should" if $is ne $should;
        push @wrong, "round $round: the winner has another tag"
            if defined $winner && $answers[$winner]->header('ETag') ne tag_of($token);
    }
    is_deeply(\@wrong, [], 'of 16 clients with one tag one wins and the others get 412, 20 times');
}
if (!embedded) {
    # A database whose sessions are stricter than Postgres' own default, where the loser of two
    # updates fails (40001) and does not see what the winner wrote.
    db()->do($_) for 'CREATE ROLE strict LOGIN IN ROLE ' . servers()->{role},
        "ALTER ROLE strict SET default_transaction_isolation = 'repeatable read'";
    my $node = node(defines => {USERPROFILE_SWEEP => 0,
        USERPROFILE_DB => servers()->dsn('fluentmeet') =~ s/user=\S+/user=strict/r})->start;
    my ($user, $token) = someone();
    my @wrong;

    for my $round (1 .. 5) {
        my $tag = tag_of($token);
        my @codes = sort map { $_->code } at_once({token => $token, port => $node->{port}},
            map { ["If-Match: $tag\r\n", {full_name => "$round $_"}] } 0 .. 15);
        push @wrong, "round $round: @codes" if "@codes" ne join ' ', 200, (412) x 15;
    }
    is_deeply(\@wrong, [], 'so it is where sessions are "repeatable read" by default');
    $node->stop;
    db()->do('DROP ROLE strict');
}
{
    my ($user, $token) = someone();
    my %values = (full_name => [map { "name $_" } 0 .. 2], speaking_language => [qw(ar cs da)],
        listening_language => [qw(el es)]);
    my @writers = map { my $column = $_; map { {$column => $_} } @{$values{$column}} } sort keys %values;
    my (@wrong, %last);

    is(scalar @writers, 8, 'eight writers of three columns');
    for my $round (1 .. 20) {
        # Before each round the columns have values that no writer of it writes.
        db()->do("UPDATE users SET full_name = 'x', speaking_language = 'xx', "
            . "listening_language = 'xx' WHERE id = ?", undef, $user->{id});
        my @answers = at_once({token => $token}, map { ['', $_] } @writers);
        my $row = user_row($user->{id});
        for my $column (sort keys %values) {
            push @wrong, "round $round: $column is $row->{$column}, as nobody wrote it"
                unless grep { $_ eq $row->{$column} } @{$values{$column}};
        }
        for my $i (0 .. 7) {
            my ($column, $value) = %{$writers[$i]};
            my $profile = json($answers[$i]);
            push @wrong, "round $round: writer $i: " . $answers[$i]->as_string
                unless $answers[$i]->code == 200 && $profile->{$column} eq $value;
        }
    }
    is_deeply(\@wrong, [], 'without If-Match none of them undoes what another wrote, 20 times');
}

done_testing();
