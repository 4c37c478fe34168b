#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# A read and a successful update of text fields are one statement and one round trip each, If-Match
# included; all statements are prepared, and what a client sends is never a part of their SQL.
#
# Two witnesses: Postgres' own log, and a proxy between httpd and Postgres that notes the messages
# of the frontend (PostgreSQL's documentation, 55.7) and who speaks when.
use strict;
use warnings;
use utf8;
use Encode qw(encode);
use IO::Select ();
use IO::Socket::UNIX ();
use JSON::PP ();
use POSIX ();
use Test::More;
use UserProfile::Test;

my $JSON = JSON::PP->new->utf8->canonical->allow_nonref;
my $servers = servers();
my $folder = scratch() . "/proxy-$$";
my ($notes, $log) = ("$folder/notes", scratch() . '/logs/postgres.log');
my $main = $$;

# --- The proxy ------------------------------------------------------------------------------------

# Each note is a line: "S" where Postgres says something, "C" with the types of the messages where
# httpd does, and "P" with a statement's SQL and "B" with the bytes of its parameters, in hex.
sub proxy {
    my ($listener) = @_;
    my $all = IO::Select->new($listener);
    my (%other, %is_client, %rest);

    open my $out, '>>:raw', $notes or POSIX::_exit(1);
    $out->autoflush;
    while (my @ready = $all->can_read) {
        for my $socket (@ready) {
            if ($socket == $listener) {
                my $client = $listener->accept or next;
                my $server = IO::Socket::UNIX->new("$servers->{postgres}/.s.PGSQL.5432") or next;
                @other{$client, $server} = ($server, $client);
                $is_client{$client} = 1;
                $all->add($client, $server);
            }
            elsif (!$other{$socket}) {
                next;    # closed with its other end
            }
            elsif (sysread $socket, my $bytes, 65_536) {
                print {$out} $is_client{$socket} ? messages(\$rest{$socket}, $bytes) : "S\n";
                syswrite $other{$socket}, $bytes;
            }
            else {
                my $peer = $other{$socket};
                $all->remove($socket, $peer);
                delete @other{$socket, $peer};
                close $_ for $socket, $peer;
            }
        }
    }
}

# The first message of a connection has no type: here it is "!".
sub messages {
    my ($rest, $bytes) = @_;
    my ($types, $lines) = ('', '');

    if (!defined $$rest) {
        my $length = unpack 'N', $bytes;
        ($$rest, $types) = (substr($bytes, $length), '!');
    }
    else {
        $$rest .= $bytes;
    }
    while (length $$rest >= 5) {
        my ($type, $length) = unpack 'aN', $$rest;
        last if length $$rest < 1 + $length;
        my $body = substr $$rest, 5, $length - 4;
        $types .= $type;
        $lines .= 'P ' . (unpack 'Z*x0Z*', $body)[1] . "\n" if $type eq 'P';
        $lines .= 'B ' . unpack('H*', $body) . "\n" if $type eq 'B';
        substr $$rest, 0, 1 + $length, '';
    }
    return "C $types\n$lines";
}

# --- Set up ---------------------------------------------------------------------------------------

# A role of its own, so that its lines can be told from those of the other node. Parameters are left
# out of the log: whatever a client sends is in there only if it is in the SQL.
db()->do($_) for 'CREATE ROLE witness LOGIN IN ROLE ' . $servers->{role},
    "ALTER ROLE witness SET log_statement = 'all'", 'ALTER ROLE witness SET log_parameter_max_length = 0',
    'ALTER ROLE witness SET log_parameter_max_length_on_error = 0';

mkdir $folder or die "$folder: $!\n";
spew($notes, '');
my $listener = IO::Socket::UNIX->new(Local => "$folder/.s.PGSQL.5432", Listen => 20)
    or die "$folder: $!\n";
my $proxy = fork // die "fork: $!\n";
if (!$proxy) {
    $SIG{TERM} = sub { POSIX::_exit(0) };
    eval { proxy($listener) };
    POSIX::_exit(1);
}
close $listener;

# One child, so that one request after the other is served over one connection.
my $node = node(
    defines => {USERPROFILE_DB => "host=$folder dbname=fluentmeet user=witness", USERPROFILE_SWEEP => 0},
    conf => "ServerLimit 1\nStartServers 1\n<IfModule mpm_prefork_module>\nMaxRequestWorkers 1\n"
        . "</IfModule>\n<IfModule !mpm_prefork_module>\nMaxRequestWorkers 25\n</IfModule>\n"
        . 'Include "' . scratch() . qq(/top/conf/fluentmeet.conf"\n));

END {
    if ($$ == $main) {
        local $?;
        $node->stop if $node;
        kill TERM => $proxy if $proxy;
        waitpid $proxy, 0 if $proxy;
        eval { db()->do('DROP ROLE witness') };
    }
}

sub someone {
    my $user = user_new(full_name => 'Ada Lovelace', listening_language => 'fr', @_);

    return ($user, token(sub => $user->{email}));
}

# What httpd and Postgres said to one another while this ran: statements as in Postgres' log without
# what opens a session; flights, each as the types of its messages; sql and parameters as bytes.
sub watch {
    my ($run) = @_;
    my ($log_from, $notes_from) = (-s $log, -s $notes);
    my $result = $run->();
    my (@flights, @sql, @parameters, $who);
    my @lines = split /\n/, log_since($notes_from, $notes);
    my $logged = log_since($log_from, $log);
    my @statements = $logged =~ /^.*? witness\@fluentmeet LOG:  ((?:execute|statement).*)/mg;

    for my $line (@lines) {
        my ($kind, $text) = $line =~ /\A(.) ?(.*)/;
        if    ($kind eq 'P') { push @sql, $text }
        elsif ($kind eq 'B') { push @parameters, pack 'H*', $text }
        elsif ($kind eq 'C') { ($who // '') eq 'C' ? ($flights[-1] .= $text) : push @flights, $text }
        $who = $kind if $kind =~ /[CS]/;
    }
    return {result => $result, flights => \@flights, sql => \@sql, parameters => \@parameters,
        logged => $logged, statements => [grep { !/^execute <unnamed>: SELECT set_config/ } @statements]};
}

sub patch {
    my ($token, $json, %option) = @_;

    return me('PATCH', token => $token, json => $json, port => $node->{port}, %option);
}

# Checks how many statements and round trips this takes, each statement being prepared, and prepared
# on this connection before.
sub takes {
    my ($status, $count, $name, $run) = @_;
    my $seen = watch($run);
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    is($seen->{result}->code, $status, "$name: $status");
    is(scalar @{$seen->{statements}}, $count, "$name: $count in Postgres' log")
        or diag(map { "$_\n" } @{$seen->{statements}});
    is(scalar(grep { !/\Aexecute userprofile_[0-9a-f]+: / } @{$seen->{statements}}), 0,
        "$name: each was prepared");
    return is("@{$seen->{flights}}", join(' ', ('BDES') x $count), "$name: $count round trips");
}

# --- The first requests ---------------------------------------------------------------------------

{
    my ($user, $token) = someone();
    my $first = watch(sub {
        $node->start;
        me('GET', token => $token, port => $node->{port});
    });

    is($first->{result}->code, 200, 'the first read');
    is(scalar @{$first->{statements}}, 1, 'is one statement');
    my $second = watch(sub { patch($token, {full_name => 'Ada'}) });
    like("@{$second->{flights}}", qr/\AP?BDES\z/,
        'the first update is one round trip, whether it is prepared with it or was before');
    my $third = watch(sub { patch($token, {full_name => 'Ada', speaking_language => 'de'}) });
    is_deeply($third->{sql}, [], 'the next one is not prepared again, whatever its fields are');
    is_deeply([map { /(userprofile_\w+)/ } @{$third->{statements}}],
        [map { /(userprofile_\w+)/ } @{$second->{statements}}], 'it is the same statement');
}

# --- How many -------------------------------------------------------------------------------------

{
    my ($user, $token) = someone();
    my %here = (token => $token, port => $node->{port});
    my $form = [{name => 'full_name', body => 'Eve'}, {name => 'speaking_language', body => 'es'}];
    my $tag = sub { (headers => {'If-Match' => $_[0] // me('GET', %here)->header('ETag')}) };
    my @now = $tag->();

    takes(200, 1, 'GET', sub { me('GET', %here) });
    takes(200, 1, 'HEAD', sub { me('HEAD', %here) });
    takes(304, 1, 'GET that is not modified', sub { me('GET', %here,
        headers => {'If-None-Match' => '*'}) });
    takes(200, 1, 'PATCH of one field', sub { patch($token, {full_name => 'Ada'}) });
    takes(200, 1, 'PATCH of all fields', sub { patch($token,
        {full_name => undef, speaking_language => 'de', listening_language => 'en'}) });
    takes(200, 1, 'PATCH with a form', sub { me('PATCH', %here, form => $form) });
    takes(200, 1, 'PATCH of nothing', sub { patch($token, {}) });
    takes(200, 1, 'PATCH with *', sub { patch($token, {full_name => 'B'}, $tag->('*')) });
    @now = $tag->();
    takes(200, 1, 'PATCH with If-Match', sub { patch($token, {full_name => 'C'}, @now) });
    takes(412, 2, 'PATCH with a stale tag', sub { patch($token, {full_name => 'D'}, @now) });
    takes(412, 1, 'PATCH of nothing with a stale tag', sub { patch($token, {}, @now) });
    @now = $tag->('"x", ' . me('GET', %here)->header('ETag'));
    takes(200, 1, 'PATCH with a form and a list of tags', sub { me('PATCH', %here, form => $form, @now) });
    takes(200, 1, 'PATCH of nothing with If-Match', sub { patch($token, {}, $tag->('*')) });

    takes(400, 0, 'an invalid value', sub { patch($token, {full_name => 1}) });
    takes(400, 0, 'malformed JSON', sub { me('PATCH', %here, type => 'application/json', body => '[') });
    takes(400, 0, 'a malformed form', sub { me('PATCH', %here, body => 'x',
        type => 'multipart/form-data; boundary=b') });
    takes(413, 0, 'a body that is too large', sub { me('PATCH', %here, type => 'application/json',
        body => ' ' x 65_537) });
    takes(415, 0, 'another media type', sub { me('PATCH', %here, type => 'text/plain', body => 'x') });
    takes(405, 0, 'another method', sub { me('PUT', %here, json => {full_name => 'E'}) });
    takes(401, 0, 'no token', sub { me('GET', port => $node->{port}) });
    takes(401, 0, 'a forged token', sub { me('GET', %here, token => token(sub => $user->{email},
        -key => 'x' x 32)) });
    takes(401, 1, 'nobody', sub { me('GET', %here, token => token(sub => 'nobody@example.com')) });
    db()->do('UPDATE users SET is_active = false WHERE id = ?', undef, $user->{id});
    takes(403, 1, 'GET by who is deactivated', sub { me('GET', %here) });
    takes(403, 2, 'PATCH by who is deactivated', sub { patch($token, {full_name => 'F'}) });
}

# --- What a client sends --------------------------------------------------------------------------

my @nasty = split /\n/, <<'NASTY';
Robert'); DROP TABLE users; --
'
''
"
\
\'
\\
$1
$4::text
$$
$a$x$a$
%s%n%%
E'\x41'
NULL
{NULL}
{a,b}
;
--
/* x */
x' OR '1'='1
' || (SELECT hashed_password FROM users LIMIT 1) || '
', is_verified = true, full_name = '
CASE WHEN true THEN 'x' END
:name
?
now()
DEFAULT
\N
t
U&"d\0061t"
ﾟ' OR 1=1
’; DROP TABLE users
ʼ OR ʼ1ʼ
-
1:-
\u0027
&#39;
%27
<script>alert(1)</script>
${jndi:x}
`id`
$(id)
NASTY
my (%names, @sql);
for my $value (@nasty) {
    my ($user, $token) = someone();
    my $name = $JSON->encode($value);
    my $seen = watch(sub { patch($token, {full_name => $value}) });

    is_profile($seen->{result}, {full_name => $value}, "$name: as it is in the answer");
    is(user_row($user->{id})->{full_name}, $value, "$name: as it is in the row");
    is(me('PATCH', token => $token, port => $node->{port}, form => [{name => 'full_name',
        body => encode('UTF-8', $value)}])->code, 200, "$name: in a form too");
    is_deeply({%{user_row($user->{id})}, updated_at => ''},
        {%$user, full_name => $value, updated_at => ''}, "$name: and nothing else");
    $names{$_} = 1 for map { /^execute (\S+):/ } @{$seen->{statements}};
    push @sql, @{$seen->{sql}};
    patch($token, {speaking_language => $value, full_name => 'Eve'});
    is(user_row($user->{id})->{full_name}, $value, "$name: no language");
    patch($token, {full_name => 'Eve'}, headers => {'If-Match' => $_}) for encode('UTF-8', $value),
        encode('UTF-8', qq("$value"));
    is(user_row($user->{id})->{full_name}, $value, "$name: no tag");
}
is(scalar keys %names, 1, 'of all these values one and the same statement was run');
is_deeply(\@sql, [], 'and nothing was prepared for them');

for my $email (split /\n/, <<'EMAILS') {
o'brien@example.com
'; DROP TABLE users; --@example.com
" OR ""="@example.com
\'$1@example.com
{a,b}@example.com
%_@example.com
zoë'@example.com
EMAILS
    my ($user, $token) = someone(email => $email);
    my $name = 'who is called ' . encode('UTF-8', $email);

    is_profile(me('GET', token => $token, port => $node->{port}), {id => $user->{id},
        email => $email}, "$name: read");
    is_profile(patch($token, {full_name => "It's me"}), {id => $user->{id}}, "$name: updated");
    is_deeply({%{user_row($user->{id})}, updated_at => ''},
        {%$user, full_name => "It's me", updated_at => ''}, "$name: nothing else");
}
{
    my ($user) = someone();

    is_error(me('GET', token => token(sub => $_), port => $node->{port}), 401, 'INVALID_CREDENTIALS',
        "who is called $_ is nobody") for "$user->{email}' OR true --", "' OR ''='", '%', '_', '',
        uc $user->{email}, "$user->{email} ", " $user->{email}", "$user->{email}\\";
}

# The same from the other side: a word that is sent everywhere is in no SQL.
{
    my ($user, $token) = someone(email => 'xyzzyemail@example.com');
    my $seen = watch(sub {
        me('GET', token => $token, port => $node->{port});
        patch($token, {full_name => 'xyzzyvalue', xyzzymember => 'xyzzyvalue',
            listening_language => 'x-xyzzy'}, headers => {'X-Xyzzy' => 'xyzzy'});
        patch($token, {full_name => 'xyzzyother'},
            headers => {'If-Match' => '"xyzzytag", "' . 'ab' x 16 . '"'});
    });

    is($seen->{result}->code, 412, 'a word is sent as a value, a name, a language and a tag');
    unlike($seen->{logged}, qr/xyzzy|ababab/, "it is not in Postgres' log, which has all SQL");
    cmp_ok(scalar @{$seen->{statements}}, '>=', 4, 'where the statements are');
    unlike("@{$seen->{sql}}", qr/xyzzy/, 'nor in what httpd has prepared');
    my $parameters = join "\n", @{$seen->{parameters}};
    like($parameters, qr/$_/, "$_ was a parameter") for 'xyzzyemail@example.com', 'xyzzyvalue',
        'x-xyzzy', '(?:ab){16}';
    unlike($parameters, qr/$_/, "$_ never went to Postgres at all") for 'xyzzymember', 'xyzzytag',
        'X-Xyzzy';
}
is(db()->selectrow_array("SELECT count(*) FROM pg_tables WHERE tablename = 'users'"), 1,
    'the table of users is still there');

done_testing();
