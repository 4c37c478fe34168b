#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# docs/openapi.yaml and docs/openapi-killrvideo.yaml say what the module does: every status of every
# operation is provoked, and each answer held to the document. They are also linted, where npm could
# install the linter (t/openapi).
use strict;
use warnings;
use HTTP::Response ();
use Test::More;
use UserProfile::OpenApi;
use UserProfile::Test;

# Codes that no shipped configuration has: FORBIDDEN is of a sysadmin's own Require lines.
my %NOT_SHIPPED = map { $_ => 1 } qw(FORBIDDEN);

my $PNG = png();
my $WIDE = $PNG =~ s/IHDR\K.{8}/pack 'NN', 12_000, 9_000/ser;
my $AVATAR = "$ME/avatar";
my $LARGE = 6 * 1024 * 1024;

# Bodies that come too slowly are given up after a second.
my $SLOW = "RequestReadTimeout body=1\n";

# --- How a contract is asked ----------------------------------------------------------------------

# A contract: api, the document; node, the httpd; database; good, what makes a request of a method
# succeed; user and token, subs that make a user and a token of one; error, the schema of errors;
# allow, the methods.
sub ask {
    my ($contract, $operation, %option) = @_;
    my ($method, $path) = @{$operation}{qw(method path)};
    my $body = $contract->{good}{$method} // {};

    $body = {form => [{name => 'avatar', filename => 'a', body => $PNG}]}
        if $path eq $AVATAR && $method =~ /^P/;
    return request($method, $path, port => $contract->{node}{port},
        (exists $option{body} || exists $option{json} ? () : %$body), %option);
}

sub answers {
    my ($contract, $operation, $response, $status, $code, $name) = @_;
    my ($method, $path) = @{$operation}{qw(method path)};
    my @wrong = $contract->{api}->check($method, $path, $response);
    my $is = (json($response) // {})->{code} // '';

    unshift @wrong, 'it is ' . $response->code unless $response->code == $status;
    unshift @wrong, "the code is $is" if defined $code && $method ne 'HEAD' && $is ne $code;
    ok(!@wrong, "$method $path: $status $name")
        or diag(map({ "  $_\n" } @wrong), $response->as_string);
    return;
}

# Asks all operations that have this status; $option may be a sub that is called for each.
sub all_answer {
    my ($contract, $status, $code, $name, $option) = @_;

    for my $operation ($contract->{api}->operations) {
        next unless grep { $_ == $status } @{$operation->{statuses}};
        next if $operation->{method} eq 'OPTIONS';
        answers($contract, $operation, ask($contract, $operation, $option->($operation)), $status,
            $code, $name);
    }
    return;
}

# The operation, and the answer to these very bytes after its request line.
sub ask_raw {
    my ($contract, $method, $path, $headers, @rest) = @_;
    my $user = $contract->{user}->();
    my $token = $contract->{token}->($user);
    my $bytes = raw(["$method $path HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer $token\r\n"
            . "$headers\r\n", @rest], port => $contract->{node}{port});

    return HTTP::Response->parse($bytes);
}

# --- What both contracts have ---------------------------------------------------------------------

sub test_common {
    my ($contract) = @_;
    my $api = $contract->{api};
    my $fresh = sub { (token => $contract->{token}->($contract->{user}->(@_))) };
    my $operation = sub { ({method => $_[0], path => $_[1] // $ME}) };

    all_answer($contract, 200, undef, 'for a good request', sub { $fresh->() });
    my $asked = ask($contract, $operation->('GET'), my @token = $fresh->());
    is(join(' ', $asked->content =~ /"(\w+)":/g), join(' ', $api->members('Profile')),
        'the members, in their order');
    all_answer($contract, 304, undef, 'for its tag',
        sub { (@token, headers => {'If-None-Match' => $asked->header('ETag')}) });
    for my $at (grep { $_->{method} eq 'OPTIONS' } $api->operations) {
        answers($contract, $at, ask($contract, $at), 204, undef, 'without a token');
    }

    all_answer($contract, 401, 'MISSING_TOKEN', 'without a token', sub { () });
    all_answer($contract, 401, 'INVALID_CREDENTIALS', 'with a bad token',
        sub { (token => 'a.b.c') });
    all_answer($contract, 401, 'TOKEN_REVOKED', 'with a revoked token', sub {
        my $jti = 'openapi-' . rand;
        redis('SET', "blacklisted_access_token:$jti", 1, 'EX', 60);
        return (token => $contract->{token}->($contract->{user}->(), jti => $jti));
    });
    all_answer($contract, 412, 'PRECONDITION_FAILED', 'with another tag',
        sub { ($fresh->(), headers => {'If-Match' => '"0"'}) });

    my $post = request('POST', $ME, port => $contract->{node}{port}, $fresh->());
    my $below = request('GET', "$ME/below", port => $contract->{node}{port}, $fresh->());
    is_error($post, 405, 'METHOD_NOT_ALLOWED', 'another method');
    is($post->header('Allow'), $contract->{allow}, 'Allow tells those that there are');
    is_error($below, 404, 'NOT_FOUND', 'another path');
    is_deeply([map { $api->check_schema($contract->{error}, $_) } $post, $below], [],
        'both answers are as the document says');
    return;
}

# Bodies that cannot be read, on $path by $method.
sub test_bodies {
    my ($contract, $method, $path, $json) = @_;
    my $at = {method => $method, path => $path};
    my $try = sub {
        my ($status, $code, $name, @option) = @_;
        answers($contract, $at, ask($contract, $at,
            token => $contract->{token}->($contract->{user}->()), @option), $status, $code, $name);
    };
    my $try_raw = sub {
        my ($status, $code, $name, @bytes) = @_;
        answers($contract, $at, ask_raw($contract, $method, $path, @bytes), $status, $code, $name);
    };
    my $type = $json ? 'application/json' : 'image/png';

    $try->(400, 'MALFORMED_MULTIPART', 'for no boundary', body => 'x',
        type => 'multipart/form-data');
    $try_raw->(400, 'BAD_REQUEST', 'for broken chunks',
        "Content-Type: $type\r\nTransfer-Encoding: chunked\r\n", "no number\r\n");
    $try_raw->(408, 'REQUEST_TIMEOUT', 'for a slow body',
        "Content-Type: $type\r\nContent-Length: 100\r\n", '{');
    $try->(415, 'UNSUPPORTED_MEDIA_TYPE', 'for text', body => 'x', type => 'text/plain');
    $try->(400, 'MALFORMED_JSON', 'for no JSON', body => '{', type => 'application/json') if $json;
    $try->(400, 'MALFORMED_JSON', 'for a list', body => '[]', type => 'application/json') if $json;
    $try->(413, 'BODY_TOO_LARGE', 'for much JSON', json => {x => 'x' x 70_000}) if $json;
    return;
}

# Does something in a state that is undone whatever happens.
sub meanwhile {
    my ($begin, $end, $do) = @_;

    $begin->();
    my $done = eval { $do->(); 1 };
    my $error = $@;
    $end->();
    die $error unless $done;
    return;
}

# What is wrong on the server.
sub test_faults {
    my ($contract) = @_;
    my $user = $contract->{user}->();
    # A token that Redis was asked for before is good for a moment after its end.
    my $token = sub { (token => $contract->{token}->($user)) };
    my $change = sub {
        my ($sql) = @_;
        return sub { db($contract->{database})->do($sql) };
    };
    my $role = servers()->{role};

    meanwhile($change->("REVOKE ALL ON users FROM $role"), $change->(servers()->grants($contract->{database})),
        sub { all_answer($contract, 500, 'INTERNAL_ERROR', 'without a right', $token) });
    meanwhile(
        sub { servers()->stop_redis },
        sub { servers()->start_redis },
        sub {
            all_answer($contract, 503, 'SERVICE_UNAVAILABLE', 'without the token store', $token);
        }
    );
    return;
}

# All that the document has was answered, and it has nothing else.
sub test_coverage {
    my ($contract) = @_;
    my $api = $contract->{api};

    is_deeply([$api->unseen], [], 'every status of the document was answered');
    is_deeply([$api->unseen_codes], [], 'and every code');
    is_deeply([$api->invented_examples], [], 'its examples of errors are real ones');
    return;
}

# --- The first contract ---------------------------------------------------------------------------

my $fluentmeet = {
    api => UserProfile::OpenApi->new('docs/openapi.yaml'),
    node => node(conf => $SLOW . 'Include "' . scratch() . qq(/top/conf/fluentmeet.conf"\n))->start,
    database => 'fluentmeet',
    error => 'Error',
    allow => 'GET, HEAD, PATCH, DELETE, OPTIONS',
    good => {PATCH => {json => {full_name => 'Ada Lovelace'}}},
    user => sub { user_new(@_) },
    token => sub { my ($user, @claims) = @_; token(sub => $user->{email}, @claims) },
};

subtest 'FluentMeet' => sub {
    my ($contract, $fresh) = ($fluentmeet, sub { (token => token(sub => user_new(@_)->{email})) });
    my $patch = {method => 'PATCH', path => $ME};
    my $try = sub {
        my ($operation, $status, $code, $name, @option) = @_;
        answers($contract, $operation, ask($contract, $operation, $fresh->(), @option), $status,
            $code, $name);
    };

    test_common($contract);
    all_answer($contract, 403, 'ACCOUNT_DELETED', 'for a deleted account',
        sub { $fresh->(deleted_at => '2026-01-01', is_active => 'f') });
    all_answer($contract, 403, 'ACCOUNT_DEACTIVATED', 'for an inactive one',
        sub { $fresh->(is_active => 'f') });
    test_bodies($contract, 'PATCH', $ME, 1);
    $try->($patch, 400, 'INVALID_LANGUAGE_CODE', 'for no language',
        json => {listening_language => 'english'});
    $try->($patch, 400, 'VALIDATION_ERROR', 'for no name', json => {full_name => "a\tb"});
    $try->($patch, 400, 'INVALID_FILE_TYPE', 'for no picture',
        form => [{name => 'avatar', filename => 'a.png', body => 'text'}]);
    answers($contract, $patch, ask_raw($contract, 'PATCH', $ME,
        "Content-Type: multipart/form-data; boundary=x\r\nContent-Length: $LARGE\r\n"), 413,
        'FILE_TOO_LARGE', 'for a large picture');
    $try->($patch, 413, 'FILE_TOO_LARGE', 'for a wide and high picture',
        form => [{name => 'avatar', filename => 'a.png', body => $WIDE}]);
    storage_fault('status', status => 500, message => 'no', on => 'upload');
    $try->($patch, 502, 'STORAGE_UPLOAD_ERROR', 'without the storage',
        form => [{name => 'avatar', filename => 'a.png', body => $PNG}]);
    answers($contract, {method => 'DELETE', path => $ME},
        request('DELETE', "$ME?hard=perhaps", port => $contract->{node}{port}, $fresh->()),
        400, 'VALIDATION_ERROR', 'for another value of hard');
    answers($contract, {method => 'DELETE', path => $ME},
        request('DELETE', "$ME?hard=TRUE", port => $contract->{node}{port}, $fresh->()),
        200, undef, 'with hard=true');

    for my $method (qw(PUT POST)) {
        my $at = {method => $method, path => $AVATAR};
        test_bodies($contract, $method, $AVATAR, 0);
        $try->($at, 200, undef, "for the picture as $_", body => $PNG, type => $_)
            for qw(image/png image/x-any application/octet-stream);
        $try->($at, 400, 'INVALID_FILE_TYPE', 'for no picture', body => 'text',
            type => 'image/png');
        $try->($at, 400, 'VALIDATION_ERROR', 'without a picture',
            form => [{name => 'x', body => 'x'}]);
        answers($contract, $at, ask_raw($contract, $method, $AVATAR,
            "Content-Type: image/png\r\nContent-Length: $LARGE\r\n"), 413, 'FILE_TOO_LARGE',
            'for a large picture');
        $try->($at, 413, 'FILE_TOO_LARGE', 'for a wide and high picture', body => $WIDE,
            type => 'image/png');
        storage_fault('status', status => 500, message => 'no', on => 'upload');
        $try->($at, 502, 'STORAGE_UPLOAD_ERROR', 'without the storage', body => $PNG,
            type => 'image/png');
    }
    test_faults($contract);
    test_coverage($contract);
};

# --- The second -----------------------------------------------------------------------------------

sub viewer {
    return db('killrvideo')->selectrow_hashref('INSERT INTO users (firstname, lastname, email) '
        . "VALUES ('Jane', 'Smith', 'jane-' || gen_random_uuid() || '\@example.com') RETURNING *");
}

my $killrvideo = {
    api => UserProfile::OpenApi->new('docs/openapi-killrvideo.yaml'),
    node => node(conf => $SLOW . 'Include "' . scratch() . qq(/top/conf/killrvideo.conf"\n),
        defines => {USERPROFILE_DB => servers()->dsn('killrvideo')})->start,
    database => 'killrvideo',
    error => 'Problem',
    allow => 'GET, HEAD, PUT, OPTIONS',
    good => {PUT => {json => {firstname => 'Jane'}}},
    user => \&viewer,
    token => sub {
        my ($user, @claims) = @_;
        token(sub => $user->{userid}, roles => ['viewer'], @claims);
    },
};

subtest 'KillrVideo' => sub {
    my $contract = $killrvideo;
    my $put = {method => 'PUT', path => $ME};

    test_common($contract);
    all_answer($contract, 403, 'INSUFFICIENT_ROLE', 'with another role',
        sub { (token => $contract->{token}->(viewer(), roles => ['guest'])) });
    my %nobody = (sub => '550e8400-e29b-41d4-a716-446655440000', roles => ['viewer']);
    all_answer($contract, 404, 'NOT_FOUND', 'for nobody', sub { (token => token(%nobody)) });
    test_bodies($contract, 'PUT', $ME, 1);
    answers($contract, $put, ask($contract, $put, token => $contract->{token}->(viewer()),
        json => {firstname => ''}), 422, 'VALIDATION_ERROR', 'for no name');
    test_faults($contract);
    test_coverage($contract);
};

# --- The documents themselves ---------------------------------------------------------------------

my %documented = map { $_ => 1 } map { $_->{api}->codes } $fluentmeet, $killrvideo;
my %known = map { $_ => 1 } grep { !$NOT_SHIPPED{$_} }
    slurp('src/core/problem.c') =~ /\[UP_\w+\] = \{"(\w+)"/g;
is_deeply([sort keys %documented], [sort keys %known], 'the codes are those of the module');

subtest 'linter' => sub {
    my $linter = 'build/openapi/node_modules/@redocly/cli/bin/cli.js';
    my @documents = qw(docs/openapi.yaml docs/openapi-killrvideo.yaml);
    my $node = `node --version 2>/dev/null` // '';
    my ($major, $minor) = $node =~ /^v(\d+)\.(\d+)/;
    my $lint = sub {
        local @ENV{qw(REDOCLY_TELEMETRY REDOCLY_SUPPRESS_UPDATE_NOTICE)} = ('off', 'true');
        open my $out, '-|', "node $linter lint --config t/openapi/redocly.yaml @_ 2>&1" or die;
        my $said = do { local $/; <$out> };
        close $out;
        return ($? == 0, $said);
    };

    plan skip_all => 'there is no node' unless $major;
    plan skip_all => "the linter needs node 20.19 or later, this is $node"
        if $major < 20 || ($major == 20 && $minor < 19);
    plan skip_all => 'the linter is not installed: make test does so where there is npm'
        unless -e $linter;
    my ($valid, $said) = $lint->(@documents);
    ok($valid, 'the documents are valid') or diag($said);

    # It must be able to say no.
    my $broken = slurp($documents[0]) =~ s/listening_language: fr/listening_language: 7/r;
    spew(scratch() . '/broken.yaml', $broken);
    ($valid, $said) = $lint->(scratch() . '/broken.yaml');
    ok(!$valid, 'an example that its schema does not allow is found');
    like($said, qr/listening_language/, 'and told');
};

done_testing();
