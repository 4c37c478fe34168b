#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# What README.md and docs/ say is so: their commands run, each configuration passes configtest,
# tables of directives, errors and files are whole, and links lead somewhere.
use strict;
use warnings;
use Test::More;
use UserProfile::Httpd ();
use UserProfile::Markdown qw(blocks rows links anchors);
use UserProfile::Process qw(run_quietly);
use UserProfile::Test;

my $README = slurp('README.md');
my $top = scratch() . '/top';
my $keys = servers()->{keys};
my @PICTURE = (body => png(), type => 'image/png');
my $count = 0;

# --- Links ----------------------------------------------------------------------------------------

my @documents = ('README.md', glob 'docs/*.md');
my %anchors = map { $_ => {map { $_ => 1 } anchors(slurp($_))} } @documents;

for my $document (@documents) {
    my @broken = grep { !leads_somewhere($document, $_) } links(slurp($document));
    is("@broken", '', "$document: its links lead somewhere");
}

sub leads_somewhere {
    my ($document, $link) = @_;
    my ($path, $anchor) = split /#/, $link, 2;
    my $folder = $document =~ s{[^/]*\z}{}r;

    return 1 if $link =~ /^https?:/;
    my $file = length $path ? "$folder$path" : $document;
    1 while $file =~ s{[^/]+/\.\./}{};
    return -e $file && (!length($anchor // '') || $anchors{$file}{$anchor});
}

# --- Commands -------------------------------------------------------------------------------------

my $makefile = slurp('Makefile');
my @targets = map { /\bmake ([a-z-]+)\b/g } $README =~ /`([^`\n]+)`/g,
    map { $_->{text} } grep { $_->{language} =~ /^(?:sh|text)$/ } blocks($README);
cmp_ok(scalar @targets, '>', 4, 'README.md: names targets of make');
like($makefile, qr/^\Q$_\E:/m, "make $_ is there") for sort keys %{{map { $_ => 1 } @targets}};

for my $block (grep { $_->{language} eq 'sh' } blocks($README)) {
    is(run_quietly('sh', '-n', '-c', $block->{text}), '', "README.md:$block->{line}: is shell");
}

# What the demo prints, with the port that it usually has.
my ($hints) = slurp('t/demo') =~ /<<"HINTS";\n\n(.*?)^HINTS$/ms;
$hints =~ s{\$url\$moved|\$url}{http://127.0.0.1:8080$ME}g;
$hints =~ s{\$base\b}{http://127.0.0.1:8080}g;
$hints =~ s/\\([\\\@\$])/$1/g;
my ($printed) = $README =~ /^```text\n(The profile is at .*?)^```$/ms;
is($printed =~ s/TOKEN=\S+/TOKEN=\$token/r, $hints, 'README.md: shows what make run prints');

# Its lines, with the server of the tests in the place of the demo's.
my $ada = user_new(full_name => 'Ada Lovelace', listening_language => 'fr');
spew(scratch() . '/picture.png', png());
my @lines = $printed =~ /^    (curl .*)$/mg;
is(scalar @lines, 3, 'README.md: three curl lines');
for my $line (@lines) {
    my $command = $line =~ s{http://127\.0\.0\.1:8080}{url('')}er;
    $command =~ s{\.run/picture\.png}{scratch() . '/picture.png'}e;
    local $ENV{TOKEN} = token(sub => $ada->{email});
    like(run_quietly('sh', '-c', "$command --silent"), qr{\AHTTP/1\.1 200 },
        $line =~ s/ http:.*//r);
}
isnt(user_row($ada->{id})->{avatar_url}, undef, '... and have done what they say');
for my $line ($printed =~ /^    (build\/bin\/userprofile-token .*)$/mg) {
    local $ENV{TOKEN} = token(sub => 'ada@example.com');
    like(run_quietly('sh', '-c', $line =~ s{\.run/keys}{servers->{keys}}er),
        $line =~ /decode/ ? qr/"ada\@example\.com"/ : qr/\AeyJ[\w-]+\.[\w-]+\.[\w-]+\n\z/, "README.md: $line");
}

# The first answer, but for what differs from day to day.
my ($shown) = $README =~ /^```text\n(HTTP.*?)^```$/ms;
my $as_shown = user_new(full_name => 'Ada Lovelace', speaking_language => 'en',
    listening_language => 'fr', is_verified => 't', created_at => '2026-03-14T12:00:00Z');
my $answer = me('GET', token => token(sub => $as_shown->{email}));
my $body = $answer->content =~ s/"id":\d+/"id":1/r =~ s/\Q$as_shown->{email}/ada\@example.com/r;
is($shown =~ s/.*\n\n//sr, "$body\n", 'README.md: the body is as shown');
is(join("\n", map { "$_: " . $answer->header($_) } $shown =~ /^([\w-]+): (?!"[0-9a-f]{32}")/mg),
    join("\n", $shown =~ /^([\w-]+: (?!"[0-9a-f]{32}").*)$/mg), '... and the headers');

# --- The installation -----------------------------------------------------------------------------

# t/deb runs the chapters of docs/install.md from beginning to end; here is what needs no root.
my $INSTALL = slurp('docs/install.md');
my @install = blocks($INSTALL);
for my $block (grep { $_->{language} eq 'sh' } @install) {
    my $name = "docs/install.md:$block->{line}";
    is(run_quietly('sh', '-n', '-c', $block->{text}), '', "$name: is shell");
    like($block->{says}{in} // $block->{text}, qr/^(?:package|source|make deps-deb\nmake deb\n)$/, "$name: is run by t/deb");
}
my %run = map { $_ => 1 } map { split /\n/, $_->{text} } grep { $_->{language} eq 'sh' } @install;
for my $block (grep { $_->{language} eq 'sh' && $_->{text} =~ /apt-get install/ } blocks($README)) {
    is(join("\n", grep { !$run{$_} } split /\n/, $block->{text}), '', "README.md:$block->{line}: has the commands of docs/install.md");
}

# A user, a token, and what the profile answers to it.
my ($try) = grep { $_->{text} =~ /INSERT INTO users \(email\)/ } @install;
my ($insert) = $try->{text} =~ /-c "(INSERT [^"]+)"/;
db()->do("DELETE FROM users WHERE email = 'ada\@example.com'");
db()->do($insert);
my $script = $try->{text} =~ s/^.*INSERT.*\n//mr;
$script =~ s{sudo userprofile-token}{build/bin/userprofile-token -k 'HS256 $keys/hs256.key'};
$script =~ s{http://localhost}{url('')}eg;
$script =~ s/curl -i/curl --silent -i/g;
like(run_quietly('sh', '-ec', $script), qr{\AHTTP/1\.1 200 .*"full_name":null.*HTTP/1\.1 200 .*"full_name":"Ada Lovelace"}s,
    'docs/install.md: a token to see it work');

# --- Configurations -------------------------------------------------------------------------------

run_quietly('openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-subj',
    '/CN=api.example.com', '-keyout', scratch() . '/tls.key', '-out', scratch() . '/tls.pem');

# What the examples name, and where it is here.
my %here = (
    '/usr/local/share/userprofile' => $top,
    '/etc/apache2/userprofile.key' => "$keys/hs256.key",
    '/etc/apache2/login.pub.pem' => "$keys/rsa.pub.pem",
    '/etc/ssl/certs/api.example.com.pem' => scratch() . '/tls.pem',
    '/etc/ssl/private/api.example.com.key' => scratch() . '/tls.key',
    '/var/lib/userprofile/avatars' => scratch() . '/avatars',
);
my $names = join '|', map { quotemeta } sort keys %here;

# An httpd with this block of a document.
sub httpd_of {
    my ($block, @modules) = @_;
    my $conf = $block->{text} =~ s/($names)/$here{$1}/gr;
    my ($kind, $contract) = split ' ', $block->{says}{apache} // 'whole';
    my %defines = $contract ? (servers()->defines, USERPROFILE_AVATARS => "file://"
            . scratch() . '/avatars?url=/avatars') : ();

    $conf = qq(Include "$top/conf/$contract.conf"\n$conf) if $contract;
    $conf = join('', @modules) . $conf;
    return UserProfile::Httpd->new(dir => scratch() . '/readme-' . $count++, conf => $conf,
        defines => \%defines, httpd => servers()->{httpd});
}

# The LoadModule lines of modules beside those that every httpd of the tests has; undef where one
# is not installed.
sub more_modules {
    my ($block) = @_;
    my $folder = run_quietly('apxs', '-q', 'LIBEXECDIR') =~ s/\s+\z//r;
    my $libpcre = '/usr/lib/x86_64-linux-gnu/libpcre.so.3';
    my @lines;

    for my $name (split ' ', $block->{says}{modules} // '') {
        next if grep { $_ eq $name } qw(headers env setenvif alias);
        return unless -e "$folder/mod_$name.so";
        push @lines, "LoadFile $libpcre\n" if $name eq 'qos' && -e $libpcre;
        push @lines, "LoadModule ${name}_module $folder/mod_$name.so\n";
    }
    return \@lines;
}

# Those of docs/directives.md are t/70-directives-doc.t's.
for my $document (qw(README.md docs/install.md docs/recipes.md)) {
    for my $block (grep { $_->{language} eq 'apache' } blocks(slurp($document))) {
        next if ($block->{says}{apache} // '') eq 'part';
        my $name = "$document:$block->{line}: passes configtest";
    SKIP: {
            my $modules = more_modules($block)
                or skip "$name: not all of $block->{says}{modules} are installed", 1;
            my $said = eval { httpd_of($block, @$modules)->check };
            like($said // $@, qr/^Syntax OK$/m, $name);
        }
        # What another test has proved.
        my $proved = $block->{says}{same} or next;
        my $conf = slurp($proved) =~ s/\A(?:#.*\n)+\n*//r;
        ok(index($block->{text}, $conf) >= 0, "$document:$block->{line}: has $proved");
    }
}

# The recipe whose text has this, and which says this of itself.
sub recipe {
    my ($pattern, %says) = @_;
    my ($block) = grep { my $block = $_; $block->{text} =~ $pattern && !grep { ($block->{says}{$_} // '') ne $says{$_} } keys %says }
        blocks(slurp('docs/recipes.md'));

    return $block // die "docs/recipes.md has no block like $pattern\n";
}

sub started {
    my ($block) = @_;
    my $httpd = httpd_of($block);

    push @UserProfile::Test::nodes, $httpd;
    return (port => $httpd->start->{port});
}

subtest 'the folder of avatars' => sub {
    my $folder = scratch() . '/avatars';
    -d $folder or mkdir $folder;
    my @at = started(recipe(qr/FilesMatch/));
    my $token = token(sub => user_new()->{email});
    my $set = request('PUT', "$ME/avatar", token => $token, @PICTURE, @at);
    my $served = request('GET', json($set)->{avatar_url}, @at);

    is(join(' ', $served->code, map { $served->header($_) // '-' } qw(Content-Type
        X-Content-Type-Options Content-Security-Policy Cache-Control)),
        "200 image/png nosniff default-src 'none'; sandbox public, max-age=86400, immutable",
        'a picture is served with its type, and as nothing else');
    for my $name ('x.html', '0' x 32 . '.html', '0' x 32 . '.php', '0' x 31 . '.png',
        '.' . '0' x 32 . '.png.part', '.htaccess') {
        spew("$folder/$name", '<html>');
        is(request('GET', "/avatars/$name", @at)->code, 403, "$name is not served");
        unlink "$folder/$name";
    }
    is(request('GET', '/avatars/', @at)->code, 403, 'nor is a list of them');
};

subtest 'CORS' => sub {
    my @at = started(recipe(qr/CORS_ORIGIN=/));
    my %asked = ('Access-Control-Request-Method' => 'PATCH');
    my $preflight = me('OPTIONS', headers => {Origin => 'https://www.example.com', %asked}, @at);
    my $token = token(sub => user_new()->{email});

    is(join(' ', $preflight->code, $preflight->header('Access-Control-Allow-Origin')),
        '204 https://www.example.com', 'a preflight');
    like($preflight->header('Access-Control-Allow-Methods'), qr/\bPATCH\b/, '... allows PATCH');
    for my $case ([200, token => $token], [401]) {
        my ($status, @token) = @$case;
        my $res = me('GET', headers => {Origin => 'https://admin.example.com'}, @token, @at);
        is(join(' ', $res->code, $res->header('Access-Control-Allow-Origin')),
            "$status https://admin.example.com", "an answer of $status");
        like(join(', ', $res->header('Vary')), qr/\bOrigin\b/, '... varies');
        $res = me('GET', headers => {Origin => 'https://www.example.com.example'}, @token, @at);
        is($res->header('Access-Control-Allow-Origin'), undef, '... not for another origin');
    }
};

# With which all tests before this one were run; here is what they cannot see.
subtest 'the least rights' => sub {
    my ($postgres, $role) = (servers()->cluster, servers()->{role});

    for my $contract (qw(fluentmeet killrvideo)) {
        my $sql = recipe(qr/CREATE ROLE web/, sql => $contract)->{text};

        is(db($contract)->selectrow_array(q(SELECT count(*) FROM pg_class WHERE relowner = ?::regrole), undef, $role), 0,
            "$contract: httpd's role owns nothing");
        db($contract)->do('BEGIN');
        ok(eval { db($contract)->do($sql); 1 }, '... the recipe runs as it is') or diag $@;
        db($contract)->do('ROLLBACK');
    }
    for my $sql ('SELECT hashed_password FROM users', 'SELECT * FROM users', q(UPDATE users SET email = ''),
        'UPDATE users SET is_verified = true', q(INSERT INTO users (email) VALUES ('')), 'DROP TABLE users',
        'SELECT token FROM verification_tokens', q(SELECT userprofile_restore(''))) {
        ok(!eval { $postgres->psql($role, 'fluentmeet', '-c', $sql); 1 } && $@ =~ /permission denied|must be owner/,
            "refused: $sql");
    }
};

# --- Tables ---------------------------------------------------------------------------------------

sub in_table {
    my ($text, $pattern) = @_;

    return [sort map { $_->[0] =~ $pattern ? $1 : () } rows($text)];
}

my @directives = slurp('src/httpd/directives.c') =~ /"(UserProfile\w*)"/g;
is_deeply(in_table($README, qr/^`(UserProfile\w*)`$/), [sort @directives],
    'README.md: the table of directives is whole');

# Of the form [UP_X] = {"X", "Title", 400, …}.
my %status = slurp('src/core/problem.c') =~ /\[UP_\w+\] = \{"(\w+)",\s*"[^"]*",\s*(\d+),/g;
my %told = map { ($_->[1] // '') =~ /^`([A-Z_]+)`$/ ? ("$1" => substr $_->[0], 0, 3) : () }
    rows($README);
is_deeply(\%told, \%status, 'README.md: the table of errors is whole');

my @files = map { s/\.[ch]\z//r } glob 'src/*/*.[ch]';
my %rooms = map { s{^src/}{}r => 1 } @files;
my $architecture = slurp('docs/architecture.md');
my %named = map { $_ => 1 } map {
    my ($folder) = $_->[0] =~ m{^`src/(\w+)`} or ();
    $folder ? map { "$folder/$_" } $_->[1] =~ /`(\w+)`/g : ();
} rows($architecture);
is_deeply([sort keys %named], [sort keys %rooms],
    'docs/architecture.md: the table of rooms is whole');

for my $test ($architecture =~ m{`((?:t/|build/unit/)[\w./-]+)`}g) {
    my $file = $test =~ s{^build/unit/(\w+)$}{t/unit/$1.c}r;
    ok(-e $file, "docs/architecture.md: $test is there");
}

# Each floor uses only the floors under it.
my %may_use = (
    core => qr{^core/},
    tools => qr{^(?:core|tools)/},
    ports => qr{^(?:core|ports)/},
    service => qr{^(?:core|ports|service)/},
    adapters => qr{^(?:core|ports|adapters)/},
    httpd => qr{^(?:core|ports|service|httpd)/|^adapters/(?:cloudinary|folder|redis_url|sql_tokens)\.h$},
);
for my $floor (sort keys %may_use) {
    my @over = grep { !/$may_use{$floor}/ } map { slurp($_) =~ /^#include "([^"]+)"/mg }
        glob "src/$floor/*.[ch]";
    is("@over", '', "src/$floor uses only what is under it");
    next if $floor =~ /^(?:adapters|httpd)$/;
    my @foreign = grep { !/^(?:apr|jansson|jwt|openssl|utf8proc|std|string|errno|limits|getopt)/ }
        map { slurp($_) =~ /^#include <([^>]+)>/mg } glob "src/$floor/*.[ch]";
    is("@foreign", '', "... and nothing of httpd's or of a server's");
}

done_testing();
