#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# What others write is data wherever it goes: in SQL (names and constants of the configuration; what
# clients send is t/24-round-trips.t's), in commands to Redis, in the storage's signed parameters and
# paths, in the headers of answers and in lines of the log.
use strict;
use warnings;
use utf8;
use Encode qw(encode);
use IO::Socket::UNIX ();
use JSON::PP ();
use Test::More;
use UserProfile::Avatar;
use UserProfile::Embedded ();
use UserProfile::Process qw(run_quietly);
use UserProfile::Test;

binmode Test::More->builder->$_, ':encoding(UTF-8)' for qw(output failure_output todo_output);

my $JSON = JSON::PP->new->utf8->canonical;
my $servers = servers();

# --- SQL: names and constants of the configuration ------------------------------------------------

# For SQL, as a name; in a line of httpd's configuration, as an argument.
sub name     { my ($name) = @_; return '"' . $name =~ s/"/""/gr . '"' }
sub argument { my (@text) = @_; return '"' . join('', @text) =~ s/([\\"])/\\$1/gr . '"' }

my %n = (
    table => q(us"ers'; DROP TABLE bystander; --), id => q(id" = 1 OR "x), login => q(lo'gin $1),
    full_name => q(full%s%n name), tongue => q(\\tongue\\'), deleted => q(de"leted), active => q($$ac$tive$$),
    updated => q(/* up */dated), since => q{si,nce);x}, realm => q("), tokens => q(to"kens), owner => q(ow"ner' --),
    clips => q(cl'ips), speaker => q(spea"ker), caption => q(cap;tion),
);
my %c = (realm => q(x' OR '1'='1), constant => q(\\'; DROP TABLE bystander; --), former => q(a "former" user\\' || now()));
my %q = map { $_ => name($n{$_}) } keys %n;

# The tables, in a schema. What differs between the databases: a type of keys and of times, a default.
sub tables {
    my ($schema, $key, $time, $now) = @_;

    return <<"SQL";
CREATE TABLE bystander (x integer);
CREATE TABLE $schema.$q{table} ($q{id} $key, $q{login} text UNIQUE, $q{full_name} text, $q{tongue} text,
    $q{deleted} $time, $q{active} boolean NOT NULL DEFAULT true, $q{updated} $time,
    $q{since} $time NOT NULL DEFAULT $now, $q{realm} text);
CREATE TABLE $q{tokens} ($q{owner} bigint);
CREATE TABLE $schema.$q{clips} ($q{speaker} bigint, $q{caption} text);
SQL
}

# A node with all these names, and what it says to a login.
sub hostile_node {
    my ($schema, $driver, $params) = @_;
    my $a = \&argument;

    return node(conf => <<"CONF")->start;
DBDriver $driver
DBDParams "$params"
UserProfileTokenKey HS256 "$servers->{keys}/hs256.key"
UserProfileTokenStore "redis+unix://$servers->{redis_socket}"
UserProfileTable @{[$a->("$schema.$n{table}")]}
UserProfileKeyColumn @{[$a->($n{id})]}
UserProfileSubjectColumn @{[$a->($n{login})]}
UserProfileStateColumns @{[join ' ', map { $a->("$_=$n{$_}") } qw(deleted active updated since)]}
UserProfileCondition @{[$a->($n{realm})]} @{[$a->($c{realm})]}
UserProfileField login string @{[$a->("column=$n{login}")]}
UserProfileField full_name string @{[$a->("column=$n{full_name}")]} writable nullable
UserProfileField @{[$a->($n{tongue})]} language writable nullable
UserProfileField constant string @{[$a->("value=$c{constant}")]}
UserProfileErase @{[$a->($n{tokens})]} @{[$a->($n{owner})]}
UserProfileAnonymise @{[$a->("$schema.$n{clips}")]} @{[$a->($n{speaker})]} @{[$a->($n{speaker})]} @{[$a->("$n{caption}=$c{former}")]}
UserProfileMethods GET PATCH DELETE
<Location "/me">
    UserProfile On
    AuthType Bearer
    AuthName "hostile"
    Require valid-user
</Location>
CONF
}

# Reads, updates and erases one user there, and looks at everything else.
sub names_hold {
    my ($db, $schema, $hostile) = @_;
    my $users = "$schema.$q{table}";
    my $add = sub {
        my ($login, $realm) = @_;
        return $db->selectrow_array("INSERT INTO $users ($q{login}, $q{realm}) VALUES (?, ?) RETURNING $q{id}",
            undef, $login, $realm // $c{realm});
    };
    my $at = sub {
        my ($method, $login, %option) = @_;
        return request($method, delete $option{path} // '/me', token => token(sub => $login, iat => time + 1),
            port => $hostile->{port}, %option);
    };
    my $others = sub { $db->selectall_arrayref("SELECT * FROM $users WHERE $q{login} LIKE 'other%' ORDER BY 1") };
    my $log = sub { log_since(0, $hostile->{error_log}) };

    my ($ada, $other) = map { $add->($_) } 'ada', 'other';
    $add->('other realm', '1');
    $db->do("INSERT INTO $q{tokens} VALUES ($ada), ($other)");
    $db->do("INSERT INTO $schema.$q{clips} VALUES ($ada, 'said Ada'), ($other, 'said another')");
    my $before = $others->();

    my $res = $at->('GET', 'ada');
    is_deeply(json($res), {login => 'ada', full_name => undef, $n{tongue} => undef, constant => $c{constant}}, 'read')
        or return diag $res->as_string, $log->();
    is($at->('GET', 'other realm')->code, 401, 'a condition holds');
    $res = $at->('PATCH', 'ada', json => {full_name => q(O'Hara\\"; --), $n{tongue} => 'de'},
        headers => {'If-Match' => $res->header('ETag')});
    is_deeply(json($res), {login => 'ada', full_name => q(O'Hara\\"; --), $n{tongue} => 'de', constant => $c{constant}},
        'updated, If-Match included') or diag $res->as_string, $log->();
    is($at->('DELETE', 'ada', path => '/me?hard=true')->code, 200, 'erased') or diag $log->();
    is_deeply($db->selectcol_arrayref("SELECT $q{login} FROM $users ORDER BY 1"), ['other', 'other realm'],
        'the row is gone, and no other');
    is_deeply($db->selectcol_arrayref("SELECT $q{owner} FROM $q{tokens}"), [$other], 'with its rows of a related table');
    is_deeply($db->selectall_arrayref("SELECT * FROM $schema.$q{clips} ORDER BY 1 NULLS FIRST"),
        [[undef, $c{former}], [$other, 'said another']], 'and what is anonymised has the constant');
    is_deeply($others->(), $before, 'all else is as it was');
    return is($db->selectrow_array('SELECT count(*) FROM bystander'), 0, 'a bystander stands');
}

subtest 'SQL of Postgres' => sub {
    my ($database, $file) = ("hostile_$$", scratch() . "/hostile-$$.sql");
    my $schema = q(sch"ema; --);

    spew($file, 'CREATE SCHEMA ' . name($schema) . ";\n" . tables(name($schema),
        'bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY', 'timestamptz', 'now()') . "\\i sql/journal.sql\n");
    $servers->add_database($database, $file);
    # With the older meaning of a backslash it is a constant's own way out.
    $servers->query('postgres', "ALTER DATABASE $database SET standard_conforming_strings = off");
    my $hostile = hostile_node($schema, 'pgsql', $servers->dsn($database));
    names_hold(db($database), name($schema), $hostile);
    $hostile->stop;
};

subtest 'SQL of SQLite' => sub {
    my $folder = scratch() . "/hostile-$$";

    mkdir $folder or die "$folder: $!\n";
    run_quietly('sh', '-c', 'sqlite3 "$0/userprofile.db" < sql/embedded.sql', $folder);
    my $db = UserProfile::Embedded->connect($folder);
    $db->do($_) for split /;\n/, tables('main', 'integer PRIMARY KEY', 'text', q{(strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))});
    my $hostile = hostile_node('main', 'sqlite3', "$folder/userprofile.db");
    names_hold($db, 'main', $hostile);
    $hostile->stop;
};

# --- Redis ----------------------------------------------------------------------------------------

# By what Redis is asked to tell of revocations; nothing of a client's is in it.
my $LINK = qr/^(?:CLIENT ID|CLIENT TRACKING ON REDIRECT \d+ BCAST PREFIX blacklisted_access_token:|SUBSCRIBE __redis__:invalidate)$/;

# Everything that Redis is told while this runs, each command as its arguments.
sub monitored {
    my ($run) = @_;
    my $monitor = IO::Socket::UNIX->new(Peer => $servers->{redis_socket}) or die "Redis: $!\n";
    my $last = "the end of $$ " . rand;
    my @commands;

    local $/ = "\r\n";
    print {$monitor} "MONITOR\r\n";
    $monitor->flush;
    <$monitor> eq "+OK\r\n" or die "no MONITOR\n";
    $run->();
    redis('ECHO', $last);
    while (my $line = <$monitor>) {
        my ($arguments) = $line =~ /\A\+[\d.]+ \[\d+ \S+\] (.*)\r\n\z/s or die "MONITOR: $line";
        my @arguments = map { unescaped($_) } $arguments =~ /"((?:[^"\\]|\\.)*)"/gs;

        last if $arguments[-1] eq $last;
        push @commands, \@arguments
            unless $arguments[0] =~ /^(?:PING|INFO|SELECT)$/i || "@arguments" =~ $LINK;
    }
    return \@commands;
}

# As Redis writes an argument.
sub unescaped {
    my ($text) = @_;
    my %is = (n => "\n", r => "\r", t => "\t", a => "\a", b => "\b");

    return $text =~ s/\\(?:x([0-9a-f]{2})|(.))/defined $1 ? chr hex $1 : $is{$2} \/\/ $2/gser;
}

subtest 'Redis' => sub {
    # What other tests have left in the journal would be told to Redis meanwhile.
    journal_clear();
    my @hostile = ('a b', '*', 'a*', '?', '[ab]', '[^a]', '[a-z]', '\\', 'a\\*', '^', '"', "'", '%s%n%b', '%', '$5', '*1',
        '{x}', 'FLUSHALL', 'x EX 1', "\x{fc}\x{65e5}", '\\r\\nFLUSHALL\\r\\n', '\\x00', '%0d%0a', ':', 'a:b', ' ', '  x');

    for my $text (@hostile) {
        my $email = "$text-$$\@example.com";
        my $person = person(email => $email);
        my $jti = "$text-jti";
        my ($email_bytes, $jti_bytes) = map { encode('UTF-8', $_) } $email, $jti;
        my $bearer = token(sub => $email, jti => $jti, exp => time + 600);
        my @mine = map { "refresh_token:$email_bytes:$_" } 1, 'a*';
        my @others = map { "refresh_token:$_:1" } "x-$$\@example.com", "aXb-$$\@example.com", "b-$$\@example.com",
            "x$email_bytes", $email_bytes . 'x';

        redis('SET', $_, 1) for @mine, @others;
        my $get = monitored(sub { is(me('GET', token => $bearer)->code, 200, "'$text': GET") });
        is_deeply($get, [['EXISTS', "blacklisted_access_token:$jti_bytes"]], "'$text': one command, the jti a part of its argument")
            or diag explain $get;

        my $delete = monitored(sub { is(me('DELETE', token => $bearer)->code, 200, "'$text': DELETE") });
        my %count;
        $count{$_->[0]}++ for @$delete;
        # That the token is not revoked is known from the GET, where that was kept.
        is_deeply([grep { $_->[0] eq 'EXISTS' } @$delete], [(['EXISTS', "blacklisted_access_token:$jti_bytes"])
            x delete $count{EXISTS}], "'$text': the jti is asked for as before") if $count{EXISTS};
        is(join(' ', sort keys %count), 'SCAN SET UNLINK', "'$text': the commands of a deletion, and no other");
        my ($set) = grep { $_->[0] eq 'SET' } @$delete;
        is_deeply([@{$set}[0 .. 3], @$set - 4], ['SET', "blacklisted_access_token:$jti_bytes", 1, 'EX', 1],
            "'$text': SET has five arguments");
        my $pattern = "refresh_token:$email_bytes:" =~ s/([*?\[\]\\^-])/\\$1/gr . '*';
        is_deeply([map { [@{$_}[2 .. $#$_]] } grep { $_->[0] eq 'SCAN' } @$delete],
            [(['MATCH', $pattern, 'COUNT', 1000]) x $count{SCAN}], "'$text': the pattern is escaped");
        is_deeply([sort map { @{$_}[1 .. $#$_] } grep { $_->[0] eq 'UNLINK' } @$delete], [sort @mine],
            "'$text': its own keys go");
        is(redis('EXISTS', @others), @others, "'$text': those of others stay");
        redis('DEL', @others, "blacklisted_access_token:$jti_bytes");
    }
    my $someone = person();
    for my $control ("a\r\nFLUSHALL\r\n", "a\nb", "a\0b", "a\x7fb", "a\x{85}b") {
        my $seen = monitored(sub {
            is_error(me('GET', token => token(sub => $someone->{email}, jti => $control)), 401, 'INVALID_CREDENTIALS',
                'a jti with control characters');
            is_error(me('GET', token => token(sub => $control)), 401, 'INVALID_CREDENTIALS',
                'a sub with control characters');
        });
        is_deeply($seen, [], 'goes to nobody');
    }
};

# --- The storage's parameters ---------------------------------------------------------------------

subtest 'signed parameters' => sub {
    my $person = person(full_name => 'a&public_id=evil', email => "x&folder=evil-$$\@example.com");
    my @fields = map { {name => $_, body => 'evil'} } qw(public_id folder overwrite notification_url eager signature
        timestamp api_key transformation);
    my @more = ({name => 'x"; filename="y', body => 'evil'},
        {headers => qq(Content-Disposition: form-data; name="public_id=evil&x"; filename="/etc/passwd"\r\n), body => 'evil'});

    storage('reset');
    for my $filename ('me.png', 'x&public_id=evil', '../../evil.png', '%0d%0apublic_id: evil', 'evil.svg', "\xe2\x80\xae.png",
        'a;type=text/html', 'evil\\"; name=\\"public_id') {
        my $picture = {headers => qq(Content-Disposition: form-data; name="avatar"; filename="$filename"\r\n)
                . "Content-Type: image/svg+xml; evil=1\r\nX-Public-Id: evil\r\n", body => png()};
        is_profile(me('PATCH', token => $person->{token}, form => [@fields, $picture, @more]), {},
            'a file called ' . $JSON->encode([$filename]));
    }
    avatar('DELETE', $person);
    my @requests = @{storage('requests')->{requests}};
    is(scalar(grep { $_->{action} eq 'upload' } @requests), 8, 'eight uploads');
    is(scalar(grep { $_->{action} eq 'destroy' } @requests), 8, 'and eight deletions');
    for my $request (@requests) {
        my $upload = $request->{action} eq 'upload';

        is($request->{params}, $upload ? 'api_key,file,public_id,signature,timestamp'
            : 'api_key,invalidate,public_id,signature,timestamp', "$request->{action}: our parameters, and no other");
        like($request->{public_id}, qr{\A[\w/-]+/[0-9a-f]{32}\z}, "$request->{action}: an ID of ours");
        is($request->{file_type}, 'image/png', 'the type is what the bytes are') if $upload;
        unlike($JSON->encode($request), qr/evil|passwd/, "$request->{action}: nothing of the client's");
    }
};

# --- Paths of the folder storage ------------------------------------------------------------------

# Everything below a folder, as one text: names, kinds, where links lead, bytes.
sub tree {
    my ($dir) = @_;
    my @all;

    opendir my $handle, $dir or return "no $dir";
    for my $name (sort grep { !/^\.\.?$/ } readdir $handle) {
        my $path = "$dir/$name";
        push @all, -l $path ? "$name -> " . readlink $path : -d $path ? "$name/ (" . tree($path) . ')' : "$name: " . slurp($path);
    }
    return join ', ', @all;
}

subtest 'paths of the folder' => sub {
    my $top = scratch() . "/paths-$$";
    my ($folder, $vault, $inner) = ("$top/avatars", "$top/vault", "$top/avatars/inner");
    my $hex = '0123456789abcdef' x 2;

    mkdir $_ or die "$_: $!\n" for $top, $folder, $vault, $inner;
    spew($_, 'bait') for "$vault/$hex.png", "$vault/passwd", "$inner/$hex.png", "$top/$hex.png", "$folder/index.html",
        "$folder/.htaccess";
    my $node = node(defines => {USERPROFILE_AVATARS => "file://$folder?url=/avatars", USERPROFILE_SWEEP => 1},
        conf => contract())->start;
    my $at = {port => $node->{port}};
    my $before = tree($top);
    my @stored = map { ("/avatars/$_", "$folder/$_", $_) } "../vault/$hex.png", "..%2fvault%2f$hex.png",
        "%2e%2e/vault/$hex.png", "..\\vault\\$hex.png", "inner/$hex.png", "./inner/$hex.png", "inner%2f$hex.png",
        "../$hex.png", "/$hex.png/../../vault/passwd", "$hex.png/../../$hex.png", "..", ".", "", "/", "$vault/passwd",
        "/$vault/$hex.png", "index.html", ".htaccess", ".$hex.png.part", "$hex.png%00", "$hex.png\n", "\n$hex.png", "$hex.html",
        "*", "*.png", "inner", '~', '$HOME', '`id`';
    push @stored, "file://$vault/passwd", "file:///avatars/$hex.png", "//avatars/$hex.png", "/avatars//$hex.png";
    my $person = person();

    for my $url (@stored) {
        my $name = $url =~ s/\Q$top\E/TOP/gr =~ s/\n/\\n/gr;

        for my $way (sub { avatar('DELETE', $person, undef, %$at) }, sub { avatar('PUT', $person, png(), %$at) },
            sub { me('DELETE', token => $person->{token}, %$at) }) {
            db()->do('UPDATE users SET avatar_url = ? WHERE id = ?', undef, $url, $person->{id});
            my $res = $way->();

            is($res->code, 200, "avatar_url '$name'") or diag $res->as_string;
            # What it has set itself, it takes away.
            avatar('DELETE', $person, undef, %$at);
            restore($person->{email});
            $person->{token} = token(sub => $person->{email});
            avatar('DELETE', $person, undef, %$at);
        }
        db()->do(q(INSERT INTO userprofile_journal (contract, effect, url, asset, owner, lease)
            VALUES ('users', ?, ?, ?, '', now() - interval '1 hour')), undef, $_, $url, $url) for qw(destroy upload);
    }
    ok(wait_for(60, sub {
        !db()->selectrow_array(q(SELECT count(*) FROM userprofile_journal WHERE attempts = 0 AND lease < now()))
    }), 'the sweeper was at what stands in the journal');
    is(tree($top), $before, 'nothing is deleted or written, in the folder and outside');
    journal_clear();

    # Links in the folder are what is deleted, not where they lead.
    my %link = ("$folder/$hex.png" => "$vault/passwd", "$folder/$hex.jpg" => $vault, "$folder/$hex.webp" => '../vault/passwd');
    for my $link (sort keys %link) {
        symlink $link{$link}, $link or die "$link: $!\n";
        db()->do('UPDATE users SET avatar_url = ? WHERE id = ?', undef, $link =~ s/^\Q$top\E//r, $person->{id});
        is_profile(avatar('DELETE', $person, undef, %$at), {avatar_url => undef}, 'an avatar that is a link');
        ok(!-l $link, 'the link is gone');
    }
    is(tree($top), $before, 'and all that they lead to is there');
    $node->stop;
    is_deeply([journal()], [], 'the journal is empty');
};

# --- Headers of answers, and lines of the log -----------------------------------------------------

subtest 'headers and log lines' => sub {
    my $node = node(defines => {USERPROFILE_SWEEP => 1}, more => $GUARDED . <<'CONF')->start;
LogLevel trace8 http:trace3
UserProfileTimeout storage=700ms
CONF
    my $forged = '[Sat Nov 28 12:00:00.000000 2026] [userprofile:error] [pid 1] FORGED';
    my @ends = ("\r\n", "\n", "\r", "\x0b", "\x1b[2K\x1b[1A", "\0", "\x7f", "\x{85}", "\x{2028}", "\b\b\b", '%0d%0a', '\\n',
        "\t");
    my $who = person(full_name => "Ada\r\nX-Injected: 1\r\n\r\n$forged", avatar_url => "https://example.com/x\r\nX-Injected: 1");
    my ($port) = $node->{port};
    my $answers = '';

    # Over the wire, so that each byte of the answer is seen, and httpd may refuse what it likes to.
    my $say = sub {
        my ($line, $headers, $body) = @_;
        my $request = join "\r\n", "$line HTTP/1.1", 'Host: localhost', 'Connection: close', @$headers,
            defined $body ? 'Content-Length: ' . length $body : (), '', $body // '';
        utf8::encode($request) if utf8::is_utf8($request);
        my $answer = raw($request, port => $port, timeout => 20);

        like($answer, qr{\AHTTP/1\.1 \d\d\d }, 'an answer to ' . encode('UTF-8', $line =~ s/[^ -~]/./gr)) or diag $answer;
        my ($head) = $answer =~ /\A(.*?)\r\n\r\n/s;
        unlike($head, qr/^(?:X-Injected|FORGED|\[)|[^\r\n -~]/m, 'with the headers that are ours') or diag $head;
        $answers .= $answer;
    };
    my $as = sub { 'Authorization: Bearer ' . token(sub => $who->{email}, @_) };
    my $mine = $as->();
    my @json = ('Content-Type: application/json');

    for my $end (@ends) {
        my $text = "x${end}X-Injected: 1$end$forged";
        my $url = $text =~ s/([^\w.-])/sprintf '%%%02x', ord encode('UTF-8', $1)/ger;

        # Claims and the header of a token, with a good signature and without.
        for my $key ([], [-key => 'k' x 40]) {
            $say->("GET $ME", [$as->(@$key, $_ => $text)]) for qw(jti type iss aud roles iat other);
            $say->("GET $ME", ['Authorization: Bearer ' . token(sub => $text, @$key)]);
            $say->("GET $ME", [$as->(@$key, -header => {$_ => $text})]) for qw(kid alg typ jku crit cty);
        }
        $say->('GET /guarded/', [$as->(jti => $text)]);
        $say->("GET $ME", ["Authorization: Bearer x.$url.y"]);
        # Bodies: names, values, parts, files.
        $say->("PATCH $ME", [$mine, @json], $JSON->encode({$text => $text, full_name => 1}));
        $say->("PATCH $ME", [$mine, @json], $JSON->encode({full_name => $text, speaking_language => $text}));
        $say->("PATCH $ME", [$mine, @json], "{$text");
        my $bytes = encode('UTF-8', $text);
        for my $part ({name => $bytes, body => $bytes}, {name => 'full_name', body => $bytes},
            {name => 'full_name', filename => $bytes, body => 'Ada'}, part('no picture', filename => $bytes),
            part('no picture', type => $bytes)) {
            my ($type, $body) = multipart([$part]);
            $say->("PATCH $ME", [$mine, "Content-Type: $type"], $body);
        }
        # Paths, queries, headers.
        $say->("GET $ME/$url", [$mine]);
        $say->("DELETE $ME?hard=$url", [$mine]);
        $say->("PATCH $ME?$url", [$mine, "Content-Type: $url"], 'x');
        my $field = $text =~ s/[\r\n\0]+/ /gr;
        $say->("PATCH $ME", [$mine, "Content-Type: $field"], 'x');
        $say->("GET $ME", [$mine, "If-None-Match: \"$field\"", "X-Other: $field", "User-Agent: $field", "Referer: $field"]);
        $say->("PATCH $ME", [$mine, @json, "If-Match: \"$field\""], '{}');
        # A stored URL that is none of ours, and one that was ours, as the journal has it.
        my $stored = $text =~ s/\0//gr;
        db()->do('UPDATE users SET avatar_url = ? WHERE id = ?', undef, "https://example.com/$stored", $who->{id});
        $say->("GET $ME", [$mine]);
        $say->("DELETE $ME/avatar", [$mine]);
        db()->do(q(INSERT INTO userprofile_journal (contract, effect, url, asset, subject, jti, owner, lease, expires)
            VALUES ('users', ?, ?, ?, ?, ?, '', now() - interval '1 hour', now() + interval '1 hour')), undef, $_,
            ("https://res.cloudinary.com/$stored", "avatars/$stored", $stored, $stored)) for qw(destroy upload revoke_sessions);
        # The storage's own words.
        storage_fault('status', status => 400, message => encode('UTF-8', $text));
        $say->("PUT $ME/avatar", [$mine, 'Content-Type: image/png'], png());
        storage_fault('url', url => encode('UTF-8', "https://res.cloudinary.com/$text"));
        $say->("PUT $ME/avatar", [$mine, 'Content-Type: image/png'], png());
    }
    # The sweeper has met each entry once.
    ok(wait_for(60, sub {
        !db()->selectrow_array(q(SELECT count(*) FROM userprofile_journal WHERE attempts = 0 AND lease < now()))
    }), 'the sweeper was at what stands in the journal');
    $node->stop;
    journal_clear();
    storage('reset');

    my @lines = split /\n/, slurp($node->{error_log}), -1;
    pop @lines;
    my @odd = grep { !/\A\[[A-Z][a-z]{2} [A-Z][a-z]{2} \d\d [\d:.]+ \d{4}\] \[[\w-]*:\w+\] \[pid \d+\] / } @lines;
    is(scalar(@odd), 0, 'each line of the log begins as httpd begins one') or diag map { "$_\n" } @odd[0 .. 9];
    my @control = grep { /[\x00-\x08\x0b-\x1f\x7f]/ } @lines;
    is(scalar(@control), 0, 'and has no control characters') or diag map { $JSON->encode([$_]) . "\n" } @control[0 .. 9];
    cmp_ok(scalar(grep { /userprofile/ && /FORGED/ } @lines), '>=', 5, 'lines of ours were tried');
    my @access = split /\n/, slurp("$node->{dir}/access_log");
    is(scalar(grep { !/\A127\.0\.0\.1 \[.*\] ".*" \d{3} (?:\d+|-)\z/ } @access), 0, 'each line of the access log is one of its own');
    like($answers, qr/FORGED/, 'answers that had something to tell of it');
};

done_testing();
