#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# A wrong configuration is refused by `httpd -t`, in one line that names the directive and says what
# is right; every right one is accepted, without a word to any server; and no secret is shown.
use strict;
use warnings;
use IO::Socket::INET ();
use IO::Socket::UNIX ();
use Test::More;
use UserProfile::Process qw(run_quietly);
use UserProfile::Test;

my $dir = scratch() . "/configtest-$$";
my $keys = servers()->{keys};
mkdir $dir or die "$dir: $!\n";

# --- The smallest configuration, and changes to it ------------------------------------------------

my @BASE = (
    DBDriver => 'pgsql',
    DBDParams => '"host=/nowhere"',
    UserProfileTable => 'users',
    UserProfileKeyColumn => 'id',
    UserProfileSubjectColumn => 'email',
    UserProfileField => 'id integer',
    UserProfileTokenKey => "HS256 $keys/hs256.key",
    UserProfileTokenStore => 'redis://127.0.0.1:1/0',
);
my $GUARD = "AuthType Bearer\nAuthName test\nRequire valid-user\n";
my $LOCATION = "<Location \"/me\">\nUserProfile On\n$GUARD</Location>\n";

# A directive => its arguments, a list of them, or undef to leave it out; what is no directive's
# name is a text: Location takes the place of the <Location>, Before and After stand around all.
sub conf {
    my (%change) = @_;
    my %text = (Before => '', Location => $LOCATION, After => '');
    my (%conf, @order) = @BASE;

    @order = grep { !/^[a-z]/ && exists $conf{$_} } @BASE;
    $text{$_} = delete $change{$_} for grep { exists $change{$_} } keys %text;
    push @order, sort grep { !exists $conf{$_} } keys %change;
    %conf = (%conf, %change);
    my $lines = join '', map {
        my $name = $_;
        map { "$name $_\n" } grep { defined } ref $conf{$name} ? @{$conf{$name}} : $conf{$name};
    } @order;
    return "$text{Before}$lines$text{Location}$text{After}";
}

my $node = node(defines => {});

# What httpd says of a configuration: whether it likes it, and its words.
sub configtest {
    my ($conf) = @_;

    $node->{conf} = $conf;
    $node->write;
    my $said = eval { $node->check };
    return defined $said ? (1, $said) : (0, $@ =~ s/\A.* failed:\n//r);
}

# There are hundreds, and each takes a process: they are noted here, and tried side by side at the
# end, by try_all().
my @cases;

sub note_case {
    my ($change, $name, $check) = @_;
    my $file = sprintf '%s/case-%03d.conf', $node->{dir}, scalar @cases;

    $node->{conf} = ref $change ? conf(%$change) : conf(After => $change);
    $node->write;
    rename "$node->{dir}/httpd.conf", $file or die "$file: $!\n";
    push @cases, {file => $file, name => $name, check => $check};
    return;
}

sub try_all {
    open my $all, '|-', 'xargs', '-0', '-P', 4, '-I', '{}', 'sh', '-c',
        '"$0" -d "$1" -t -f "$2" >"$2.said" 2>&1 && : >"$2.liked"; :', @$node{qw(httpd dir)}, '{}'
        or die "xargs: $!\n";
    print {$all} map { "$_->{file}\0" } @cases;
    close $all or die "xargs failed\n";
    for my $case (@cases) {
        my $said = slurp("$case->{file}.said");
        ok($case->{check}->(-e "$case->{file}.liked", $said), $case->{name}) or diag($said);
    }
    return;
}

# Refused, in one line that begins with the directive's name (or Require's) and is like $pattern; and
# without this secret. httpd puts lines of its own around it, which begin with their number, and of
# which one has the file and the line; what no single line is wrong in names the server.
sub refused {
    my ($name, $change, $pattern, $secret) = @_;

    note_case($change, "refused: $name", sub {
        my ($liked, $said) = @_;
        my @lines = grep { !/^AH\d{5}: / } split /\n/, $said;

        return !$liked && @lines == 1 && $lines[0] =~ /^(?:UserProfile\w*|DBDriver|DBDParams|Require)\b/
            && $lines[0] =~ $pattern && (!defined $secret || index($said, $secret) < 0)
            && is_located($said, $lines[0])
            || diag("not one line like $pattern");
    });
    return;
}

sub is_located {
    my ($said, $error) = @_;
    my ($directive) = $error =~ /^(\w+)/;
    my ($number, $file) = $said =~ /^AH00526: Syntax error on line (\d+) of (.*):$/m
        or return $error =~ /\(in (?:server \S+|the main server)\)/;

    return (split /\n/, slurp($file))[$number - 1] =~ /^\s*$directive\b/;
}

sub accepted {
    my ($name, $change) = @_;

    note_case($change, "accepted: $name", sub { $_[0] && $_[1] eq "Syntax OK\n" });
    return;
}

# --- Keys -----------------------------------------------------------------------------------------

sub key_pair {
    my ($name, @how) = @_;

    run_quietly('openssl', 'genpkey', @how, '-out', "$dir/$name.pem");
    run_quietly('openssl', 'pkey', '-in', "$dir/$name.pem", '-pubout', '-out', "$dir/$name.pub.pem");
    return;
}

key_pair(rsa1024 => '-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:1024');
key_pair(ed25519 => '-algorithm', 'ED25519');
run_quietly('openssl', 'req', '-x509', '-new', '-key', "$keys/rsa.pem", '-subj', '/CN=test', '-out',
    "$dir/certificate.pem");
spew("$dir/empty", '');
spew("$dir/newline", "\n");
spew("$dir/short", "too short\n");
chmod 0600, "$dir/short";
spew("$dir/large", 'x' x 65_537);
spew("$dir/garbage.pem", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n");

my $ALGORITHMS = qr/is no algorithm; there are HS256, .* and ES512/;
my @WRONG_KEYS = (
    ['an algorithm that is none', 'none', "$keys/hs256.key", $ALGORITHMS],
    ['an algorithm in lower case', 'hs256', "$keys/hs256.key", $ALGORITHMS],
    ['an algorithm that others know', 'PS256', "$keys/rsa.pub.pem", $ALGORITHMS],
    ['no file', 'HS256', "$dir/nowhere", qr/the file \S+nowhere can't be read: No such file/],
    ['a folder', 'HS256', $dir, qr/can't be read/],
    ['an empty file', 'HS256', "$dir/empty", qr/The key is empty/],
    ['a file with a line end only', 'HS256', "$dir/newline", qr/The key is empty/],
    ['a file of more than 64 KiB', 'HS256', "$dir/large", qr/has more than 65536 bytes/],
    ['a public key as a secret', 'HS256', "$keys/rsa.pub.pem", qr/is a PEM file.*use random bytes/],
    ['a private key as a secret', 'HS256', "$keys/rsa.pem", qr/is a PEM file.*use random bytes/],
    ['a private RSA key', 'RS256', "$keys/rsa.pem", qr/private key.*openssl pkey -pubout/],
    ['a private EC key', 'ES256', "$keys/es256.pem", qr/private key.*openssl pkey -pubout/],
    ['a certificate', 'RS256', "$dir/certificate.pem", qr/certificate.*openssl x509/],
    ['an RSA key of 1024 bits', 'RS256', "$dir/rsa1024.pub.pem", qr/too short.*2048 bits or more/],
    ['an EC key for RS256', 'RS256', "$keys/es256.pub.pem", qr/not an RSA public key/],
    ['an RSA key for ES256', 'ES256', "$keys/rsa.pub.pem", qr/not an EC public key on the curve P-256/],
    ['P-384 for ES256', 'ES256', "$keys/es384.pub.pem", qr/on the curve P-256/],
    ['P-256 for ES384', 'ES384', "$keys/es256.pub.pem", qr/on the curve P-384/],
    ['P-384 for ES512', 'ES512', "$keys/es384.pub.pem", qr/on the curve P-521/],
    ['an Ed25519 key for ES256', 'ES256', "$dir/ed25519.pub.pem", qr/on the curve P-256/],
    ['a secret for RS256', 'RS256', "$keys/hs256.key", qr/not a single public key in PEM/],
    ['a PEM file that is broken', 'RS256', "$dir/garbage.pem", qr/not a public key in PEM/],
    ['a kid that is empty', 'HS256', "$keys/hs256.key kid=", qr/there is kid=ID/],
    ['an unknown option', 'HS256', "$keys/hs256.key id=1", qr/'id=1' is no option; there is kid=ID/],
    ['two options', 'HS256', "$keys/hs256.key kid=1 kid=2", qr/takes two or three arguments/],
);

refused("a key: $_->[0]", {UserProfileTokenKey => "$_->[1] $_->[2]"}, $_->[3]) for @WRONG_KEYS;
accepted("a key: $_->[0]", {UserProfileTokenKey => $_->[1]}) for (
    (map { [$_, "$_ $keys/" . lc . '.key'] } qw(HS256 HS384 HS512)),
    (map { [$_, "$_ $keys/rsa.pub.pem"] } qw(RS256 RS384 RS512)),
    (map { [$_, "$_ $keys/" . lc . '.pub.pem'] } qw(ES256 ES384 ES512)),
    ['several, by kid', ["HS256 $keys/hs256.key kid=old", "RS256 $keys/rsa.pub.pem kid=new"]],
);
my ($liked, $said) = configtest(conf(UserProfileTokenKey => "HS256 $dir/short"));
ok($liked, 'a secret shorter than its hash is accepted');
like($said, qr/UserProfileTokenKey number 1: .*32 random bytes or more/, '... with a warning');
unlike($said, qr/too short/, '... that does not show it');

# --- Files that everybody can read or change ------------------------------------------------------

# A copy of a file with this mode.
my $copies = 0;
sub with_mode {
    my ($mode, $bytes) = @_;
    my $file = "$dir/mode-" . $copies++;

    spew($file, $bytes);
    chmod $mode, $file;
    return $file;
}

sub warned {
    my ($name, $change, $pattern, $secret) = @_;

    note_case($change, "accepted with a warning: $name", sub {
        my ($liked, $said) = @_;
        my @lines = split /\n/, $said;

        return $liked && @lines == 2 && $lines[0] =~ $pattern && $lines[1] eq 'Syntax OK'
            && index($said, $secret) < 0;
    });
    return;
}

my $hmac = slurp("$keys/hs256.key");
my $public = slurp("$keys/rsa.pub.pem");
my ($url_secret, $asset_secret) = ('sesame-b201', 'sesame-b202');
my @urls = ("redis://:$url_secret\@127.0.0.1:1/0", "cloudinary://key:$asset_secret\@demo");
my @picture = (UserProfileField => ['id integer', 'picture avatar nullable']);
my $lets = sub { my ($what, $is, $chmod) = @_;
    qr/the mode of the file \S+mode-\d+ lets everybody $what it, and it $is; chmod $chmod it: / };

for my $case ([0644, 'read'], [0604, 'read'], [0646, 'read and change'], [0602, 'change'], [0666, 'read and change']) {
    my ($mode, $what) = @$case;
    my $name = sprintf '%04o', $mode;

    warned("a secret, $name", {UserProfileTokenKey => 'HS256 ' . with_mode($mode, $hmac)},
        $lets->($what, 'holds a secret', 'o='), $hmac);
    warned("a token store's URL, $name", {UserProfileTokenStore => '@' . with_mode($mode, $urls[0])},
        $lets->($what, 'holds a secret', 'o='), $url_secret);
    warned("a storage's URL, $name", {@picture, UserProfileAvatarStorage => '@' . with_mode($mode, $urls[1])},
        $lets->($what, 'holds a secret', 'o='), $asset_secret);
}
warned(sprintf('a public key, %04o', $_), {UserProfileTokenKey => 'RS256 ' . with_mode($_, $public)},
    $lets->('change', 'says whose tokens are believed', 'o-w'), $hmac) for 0666, 0602;
accepted(sprintf('a secret, %04o', $_), {UserProfileTokenKey => 'HS256 ' . with_mode($_, $hmac)})
    for 0400, 0600, 0640, 0660, 0440;
accepted(sprintf('a public key, %04o', $_), {UserProfileTokenKey => 'RS256 ' . with_mode($_, $public)})
    for 0444, 0644, 0664;
# The mode of a symbolic link is that of what it leads to.
symlink with_mode(0600, $hmac), "$dir/mode-1000";
symlink with_mode(0644, $hmac), "$dir/mode-1001";
accepted('a link to a secret that is one', {UserProfileTokenKey => "HS256 $dir/mode-1000"});
warned('a link to a secret that everybody reads', {UserProfileTokenKey => "HS256 $dir/mode-1001"},
    $lets->('read', 'holds a secret', 'o='), $hmac);

# --- What is missing ------------------------------------------------------------------------------

for my $needed (qw(UserProfileTable UserProfileKeyColumn UserProfileSubjectColumn UserProfileField
    UserProfileTokenKey UserProfileTokenStore DBDriver)) {
    refused("no $needed", {$needed => undef}, qr/^$needed is missing: .* (?:e\.g\.|or leave) /);
}
refused('a required jti without a token store',
    {UserProfileTokenStore => undef, UserProfileMethods => 'GET', UserProfileTokenClaim => 'jti'},
    qr/^UserProfileTokenStore is missing: .*jti/);
refused("tokens in the database: $_->[0]", {UserProfileTokenStore => "database $_->[0]"}, $_->[1]) for (
    ['tables=x', qr/^UserProfileTokenStore: 'tables=x' is no option; .*blacklist=TABLE and sessions=TABLE/],
    ['blacklist=', qr/^UserProfileTokenStore\b/], ['sessions=a.b.c', qr/^UserProfileTokenStore: .*dot/],
    ['x', qr/^UserProfileTokenStore: 'x' is no option/]);
accepted("tokens in the database: $_", {UserProfileTokenStore => "database $_"})
    for '', 'blacklist=revoked', 'sessions=login.sessions blacklist=login.revoked';
refused('nothing but the <Location>', {(map { $_ => undef } grep { /^U/ } @BASE)},
    qr/^UserProfileTable is missing/);
# httpd has MySQL's driver only where it is installed, and complains by itself where it is not.
refused('SQLite, without its file', {DBDriver => 'sqlite3', DBDParams => undef},
    qr/^DBDParams is missing: .*absolute path/);
refused("SQLite, $_", {DBDriver => 'sqlite3', DBDParams => qq("$_")}, qr/^DBDParams is \Q$_\E: .*absolute path/)
    for 'userprofile.db', ':memory:', './x.db', 'file:/x.db', 'host=/run dbname=x';
accepted('SQLite', {DBDriver => 'sqlite3', DBDParams => "$dir/no-such.db"});
accepted('SQLite, tokens in the database', {DBDriver => 'sqlite3', DBDParams => "$dir/no-such.db",
    UserProfileTokenStore => 'database'});
refused('more connections than mod_dbd has', {DBDMax => 4, UserProfileConnections => 5},
    qr/^UserProfileConnections 5 is more than DBDMax 4: /);
refused('more connections than mod_dbd has by default', {UserProfileConnections => 11},
    qr/^UserProfileConnections 11 is more than DBDMax 10: /);
refused('the default of connections, more than mod_dbd has', {DBDMax => 2},
    qr/^UserProfileConnections 8 is more than DBDMax 2: /);
accepted('the smallest configuration', {});
accepted('no token store where nothing needs one',
    {UserProfileTokenStore => undef, UserProfileMethods => 'GET PATCH'});
accepted('as many connections as mod_dbd has', {DBDMax => 5, UserProfileConnections => 5});
accepted('a contract without a <Location>, for others to use', {Location => ''});
accepted('directives for virtual hosts only',
    {(map { $_ => undef } grep { /^U/ } @BASE), UserProfileTimeout => 'pool=1s', Location => ''});

# --- Fields ---------------------------------------------------------------------------------------

my $TYPES = qr/is no type; there are string, integer, .* and avatar$/;
my @WRONG_FIELDS = (
    ['an unknown type', 'id number', $TYPES],
    ['a type in upper case', 'id INTEGER', $TYPES],
    ['no type', 'id', qr/takes a name and a type, then options/],
    ['no argument', '', qr/takes a name and a type, then options/],
    ['an empty name', '"" integer', qr/is no name: 1 to 63 bytes/],
    ['a name of 64 bytes', 'x' x 64 . ' integer', qr/is no name: 1 to 63 bytes/],
    ['a name that is not UTF-8', "\xff integer", qr/is no name: 1 to 63 bytes of UTF-8/],
    ['a column with a control character', "id integer \"column=a\tb\"", qr/is no name/],
    ['an empty column', 'id integer column=', qr/is no name/],
    ['an unknown option', 'id integer readonly', qr/'readonly' is no option; there are column=NAME/],
    ['the key, writable', 'id integer writable',
        qr/^UserProfileField id: UserProfileKeyColumn uses the column id/],
    ['the key under another name', 'number integer column=id writable',
        qr/UserProfileKeyColumn uses the column id/],
    ['the subject, writable', 'email email writable', qr/UserProfileSubjectColumn uses the column/],
    ['a timestamp, writable', 'made timestamp writable', qr/of type timestamp can't be writable/],
    ['an epoch-ms, writable', 'made epoch-ms writable', qr/of type epoch-ms can't be writable/],
    ['an avatar, writable', 'picture avatar writable', qr/of type avatar can't be writable/],
    ['min over max', 'name string min=9 max=8', qr/min=9 is more than max=8/],
    ['min over the default of max', 'name string min=256', qr/min=256 is more than max=255/],
    ['a min that is no number', 'name string min=one', qr/min is a whole number from 0 to 65536/],
    ['a min with a unit', 'name string min=1k', qr/min is a whole number from 0 to 65536/],
    ['a negative min', 'name string min=-1', qr/min is a whole number from 0/],
    ['a max of nothing', 'name string max=', qr/max is a whole number from 1 to 65536, not ''/],
    ['a max of 0', 'name string max=0', qr/max is a whole number from 1/],
    ['a max above the body\'s', 'name string max=65537', qr/max is a whole number from 1 to 65536/],
    ['a max that fits no number', 'name string max=99999999999999999999', qr/max is a whole number/],
    ['a min of a number', 'age integer min=1', qr/of type integer has no min; min is for string/],
    ['a max of a number', 'age integer max=150', qr/of type integer has no max/],
    ['a max of a language', 'language language max=35', qr/of type language has no max/],
    ['a min of an object', 'data json min=2', qr/of type json has no min/],
    ['a constant that is writable', 'a string value=b writable', qr/neither writable nor nullable/],
    ['a constant that is nullable', 'a string value=b nullable', qr/neither writable nor nullable/],
    ['a constant time', 'a timestamp value=now', qr/of type string, integer, boolean/],
    ['a constant picture', 'a avatar value=http://x/', qr/of type string, integer, boolean/],
    ['a constant object', 'a json value={}', qr/of type string, integer, boolean/],
    ['a constant that is no number', 'a integer value=one', qr/the constant 'one' is no integer/],
    ['a constant that is no truth value', 'a boolean value=yes', qr/the constant 'yes' is no boolean/],
    ['a constant that is no uuid', 'a uuid value=1', qr/the constant '1' is no uuid/],
    ['a constant and a column', 'a string column=b value=c', qr/column=b or value=c, not both/],
);

for my $field (@WRONG_FIELDS) {
    refused("a field: $field->[0]", {UserProfileField => ['x string', $field->[1]]}, $field->[2]);
}
refused('a field twice', {UserProfileField => ['id integer', 'id string']}, qr/id is there already/);
refused('a column writable twice',
    {UserProfileField => ['a string writable', 'b string column=a writable']},
    qr/^UserProfileField b: the column a can be changed as a already/);
refused('a column that is written as text and as picture', {
        UserProfileField => ['a string writable', 'b avatar column=a'],
        UserProfileAvatarStorage => "file://$dir"
    },
    qr/^UserProfileField b: the column a can be changed as a already/);
refused('65 fields', {UserProfileField => [map { "f$_ string" } 1 .. 65]}, qr/at most 64 fields/);
refused("a state's column, writable: $_",
    {UserProfileField => 'x boolean writable', UserProfileStateColumns => "$_=x"},
    qr/^UserProfileField x: UserProfileStateColumns uses the column x/)
    for qw(deleted active updated since version);
refused("a condition's column, writable",
    {UserProfileField => 'x string writable', UserProfileCondition => 'x y'},
    qr/^UserProfileField x: UserProfileCondition uses the column x/);
accepted("a field: $_", {UserProfileField => [$_]}) for (
    'id integer', 'name string writable nullable min=1 max=50', 'name string writable max=65536',
    'Name string WRITABLE', 'age integer writable nullable',
    'flag boolean writable', 'made timestamp nullable', 'made epoch-ms', 'ref uuid writable',
    'site url writable max=2000', 'mail email writable', 'tongue language writable nullable',
    'data json writable max=10000', 'version integer value=3', 'kind string "value=a b"',
    'kind string value=', 'name string "column=Display Name"', "\xc3\xbc string", 'x' x 63 . ' string',
);
accepted('64 fields', {UserProfileField => [map { "f$_ string" } 1 .. 64]});
accepted('a column twice, once writable',
    {UserProfileField => ['a string writable', 'b string column=a']});

# --- The table ------------------------------------------------------------------------------------

my $NAME = qr/is no name: 1 to 63 bytes/;
my @WRONG = (
    [UserProfileTable => '.users', $NAME],
    [UserProfileTable => 'public.', $NAME],
    [UserProfileTable => 'a.b.c', qr/more than one dot; write schema\.table/],
    [UserProfileTable => 'x' x 64, $NAME],
    [UserProfileTable => "public.\xff", $NAME],
    [UserProfileTable => 'a b', qr/takes one argument, the users' table/],
    [UserProfileTable => '', qr/takes one argument, the users' table/],
    [UserProfileJournal => 'a.b.c', qr/more than one dot/],
    [UserProfileKeyColumn => '', qr/takes one argument, the primary key/],
    [UserProfileKeyColumn => 'a b', qr/takes one argument, the primary key/],
    [UserProfileSubjectColumn => '"" uuid', qr/takes 1-2 arguments, the column/],
    [UserProfileSubjectColumn => 'id bigint', qr/'bigint' is no type of a subject; take string, uuid or integer/],
    [UserProfileSubjectColumn => 'id email', qr/take string, uuid or integer/],
    [UserProfileSubjectColumn => 'id uuid x', qr/takes 1-2 arguments/],
    [UserProfileStateColumns => '', qr/at least one of deleted=COLUMN/],
    [UserProfileStateColumns => 'deleted_at', qr/'deleted_at' is no option; there are deleted=COLUMN/],
    [UserProfileStateColumns => 'gone=x', qr/'gone=x' is no option/],
    [UserProfileStateColumns => 'deleted=', $NAME],
    [UserProfileStateColumns => 'deleted=x none', qr/'none' is no option/],
    [UserProfileCondition => 'realm', qr/takes a column and the value/],
    [UserProfileCondition => 'realm a b', qr/takes 1-2 arguments/],
    [UserProfileCondition => "\xff a", $NAME],
    [UserProfileCondition => "a \xff", qr/takes a column and the value/],
    [UserProfileErase => 'tokens', qr/takes a table and its column that refers to the user/],
    [UserProfileErase => '', qr/takes 1-2 arguments/],
    [UserProfileErase => 'tokens user_id x', qr/takes 1-2 arguments/],
    [UserProfileErase => 'a.b.c user_id', qr/more than one dot/],
    [UserProfileErase => 'tokens ' . 'x' x 64, $NAME],
    [UserProfileAnonymise => 'captions', qr/takes a table, its column that refers to the user/],
    [UserProfileAnonymise => 'captions user_id', qr/what is set: COLUMN for NULL or COLUMN=VALUE/],
    [UserProfileAnonymise => 'captions user_id =x', $NAME],
    [UserProfileAnonymise => '"" user_id speaker', $NAME],
    # --- The resource and its answers
    [UserProfileMethods => '', qr/takes at least one method/],
    [UserProfileMethods => 'GET POST', qr/'POST' can't be enabled; there are GET .*and avatar/],
    [UserProfileMethods => 'get', qr/'get' can't be enabled/],
    [UserProfileMethods => 'HEAD', qr/'HEAD' can't be enabled; there are GET \(which brings HEAD\)/],
    [UserProfileMethods => 'GET avatar', qr/^UserProfileMethods avatar: no UserProfileField is of type avatar/],
    (map { [UserProfileAvatarDimensions => $_, qr/'\Q$_\E' is no WIDTHxHEIGHT; write e\.g\. 8192x8192, each from 1 to 65535/] }
        qw(8192 8192x x8192 0x10 10x0 65536x1 1x65536 -1x1 1x-1 10x10x10 10*10 10x10px 1e3x1e3 99999999999999999999x1 none)),
    [UserProfileAvatarDimensions => '""', qr/takes one argument|'' is no WIDTHxHEIGHT/],
    [UserProfileAvatarDimensions => '10 10', qr/takes one argument/],
    [UserProfileUnknownUser => '403', qr/is 401 or 404/],
    [UserProfileUnknownUser => '4040', qr/is 401 or 404/],
    [UserProfileUnknownFields => 'reject', qr/is ignore or refuse/],
    [UserProfileErrors => 'xml', qr/is json, or problem and the URI/],
    [UserProfileErrors => 'json /docs', qr/is json, or problem and the URI/],
    [UserProfileErrors => 'problem "/docs/my problems#"', qr/is no URI/],
    [UserProfileErrors => '', qr/takes 1-2 arguments/],
    [UserProfileEnvelope => '', qr/name the member that holds the profile, e\.g\. /],
    [UserProfileEnvelope => 'status=ok', qr/name the member that holds the profile/],
    [UserProfileEnvelope => 'data profile', qr/'profile' is no member, or is there already/],
    [UserProfileEnvelope => 'status=1 status=2 data', qr/'status=2' is no member, or is there already/],
    [UserProfileEnvelope => 'data data=1', qr/'data=1' is no member, or is there already/],
    [UserProfileEnvelope => '=ok data', qr/'=ok' is no member/],
    [UserProfileEnvelope => '"" data', qr/'' is no member/],
    [UserProfileEnvelope => "status=\xff data", qr/is no member/],
    # --- Tokens
    [UserProfileTokenClaim => '', qr/takes a claim's name, then the values/],
    [UserProfileTokenClaim => '"" x', qr/takes a claim's name, then the values/],
    [UserProfileTokenClaim => "\xff", qr/takes a claim's name, then the values/],
    [UserProfileTokenClaim => 'aud "" web', qr/a value is empty/],
    (map { [UserProfileTokenClaim => $_, qr/$_ is always checked/] } qw(exp nbf sub)),
    [UserProfileTokenClaim => 'iat', qr/iat is a time.*UserProfileStateColumns since=COLUMN/],
    [UserProfileTokenLeeway => 'soon', qr/a whole number from 0 to 300, not 'soon'/],
    [UserProfileTokenLeeway => '-1', qr/a whole number from 0 to 300/],
    [UserProfileTokenLeeway => '301', qr/a whole number from 0 to 300/],
    [UserProfileTokenLeeway => '1s', qr/a whole number from 0 to 300/],
    [UserProfileRolesClaim => '', qr/takes one argument, the claim/],
    [UserProfileRoleAlias => 'active', qr/takes two roles/],
    [UserProfileRoleAlias => '"" viewer', qr/takes (?:two roles|1-2 arguments)/],
    [UserProfileRoleAlias => 'a b c', qr/takes 1-2 arguments/],
    [UserProfileCookie => '"refresh token"', qr/is no name of a cookie/],
    [UserProfileCookie => 'a=b', qr/is no name of a cookie/],
    [UserProfileCookie => "a \"Path=/\x01\"", qr/the attributes have control characters/],
    [UserProfileCookie => 'a Path=/ Secure', qr/takes 1-2 arguments/],
    # --- Limits
    [UserProfileTimeout => '', qr/takes at least one/],
    (map { [UserProfileTimeout => $_, qr/'\Q$_\E' is no timeout; write e\.g\. statement=3s, .*1ms to 300s/] }
        qw(statement statement= statement=fast statement=0 statement=0ms statement=-1s
        statement=301s statement=6min statement=1h statement=3x statement=3seconds statement=3.5s
        statement=99999999999999999999s query=3s)),
    [UserProfileConnections => '0', qr/a whole number from 1 to 1000/],
    [UserProfileConnections => 'many', qr/a whole number from 1 to 1000/],
    [UserProfileConnections => '1001', qr/a whole number from 1 to 1000/],
    [UserProfileSweep => '-1', qr/a whole number from 0 to \d+/],
    [UserProfileSweep => 'often', qr/a whole number from 0 to \d+/],
    [UserProfileGracePeriod => '', qr/takes one argument, how long/],
    [UserProfileGracePeriod => '30 days', qr/takes one argument, how long/],
    (map { [UserProfileGracePeriod => $_, qr/'\Q$_\E' is no period; write e\.g\. 30d, .*up to 3650d/] }
        qw(30 0 0d -1d 1.5d 30days 30dd d never 1w 500ms 3651d 87601h 315360001s 99999999999d
        18446744073709551617d)),
);

refused("$_->[0] $_->[1]", {$_->[0] => $_->[1]}, $_->[2]) for @WRONG;
accepted("$_->[0] $_->[1]", {$_->[0] => $_->[1]}) for (
    [UserProfileTable => 'app.users'],
    [UserProfileTable => "\xc3\xbc.u"],
    [UserProfileTable => '"My Users"'],
    [UserProfileJournal => 'app.journal'],
    [UserProfileSubjectColumn => 'id uuid'],
    [UserProfileSubjectColumn => 'id integer'],
    [UserProfileSubjectColumn => 'name string'],
    [UserProfileStateColumns => 'deleted=a active=b updated=c since=d version=e'],
    [UserProfileStateColumns => 'none'],
    [UserProfileCondition => 'realm_id "a realm"'],
    [UserProfileCondition => 'none'],
    [UserProfileErase => 'app.tokens user_id'],
    [UserProfileErase => 'none'],
    [UserProfileAnonymise => 'captions user_id speaker text=[removed] note='],
    [UserProfileMethods => 'GET PATCH PUT DELETE'],
    [UserProfileUnknownUser => '404'],
    [UserProfileUnknownFields => 'Refuse'],
    [UserProfileErrors => 'JSON'],
    [UserProfileErrors => 'problem'],
    [UserProfileErrors => 'problem https://example.com/problems/'],
    [UserProfileEnvelope => 'status_code=200 status=success "message=It is done" data'],
    [UserProfileEnvelope => 'none'],
    [UserProfileTokenClaim => 'type access'],
    [UserProfileTokenClaim => 'aud app web'],
    [UserProfileTokenClaim => 'jti'],
    [UserProfileTokenClaim => 'none'],
    [UserProfileTokenLeeway => '0'],
    [UserProfileTokenLeeway => '300'],
    [UserProfileRolesClaim => 'groups'],
    [UserProfileRoleAlias => 'active viewer'],
    [UserProfileRoleAlias => 'none'],
    [UserProfileCookie => 'refresh_token'],
    [UserProfileCookie => 'refresh_token "Path=/; HttpOnly"'],
    [UserProfileCookie => 'none'],
    [UserProfileTimeout => 'pool=1 statement=1500ms tokens=1ms connect=5min storage=300s'],
    [UserProfileConnections => '1'],
    [UserProfileSweep => '0'],
    [UserProfileGracePeriod => 'none'],
);

# A period needs to know when an account was deleted, and somebody who erases it.
my @GRACE = (UserProfileGracePeriod => '30d', UserProfileStateColumns => 'deleted=gone');
refused("a grace period without $_->[0]", {@GRACE, @{$_->[1]}}, $_->[2]) for (
    ["a state's column", [UserProfileStateColumns => undef],
        qr/^UserProfileGracePeriod: UserProfileStateColumns names no column deleted=.*none \(in server/],
    ['that column', [UserProfileStateColumns => 'active=x'], qr/^UserProfileGracePeriod: .* no column deleted=/],
    ['a sweeper', [UserProfileSweep => 0], qr/^UserProfileGracePeriod: .*UserProfileSweep 0 .*none here \(in server/],
    ['DELETE', [UserProfileMethods => 'GET PATCH'], qr/^UserProfileGracePeriod: UserProfileMethods .*DELETE/],
);
accepted("a grace period of $_", {@GRACE, UserProfileGracePeriod => $_})
    for qw(1s 5min 36H 30d 3650d 87600h 315360000s NONE);
accepted('no grace period, in so many words, without all that',
    {UserProfileGracePeriod => 'none', UserProfileSweep => 0, UserProfileMethods => 'GET'});

# --- Where things are -----------------------------------------------------------------------------

# No message shows what is in such a URL, as a mistake is easily made in the secret itself.
my $SECRET = 'sesame-8f3a';
my @WRONG_URLS = (
    (map { [UserProfileTokenStore => $_->[0], $_->[1]] }
        ['', qr/takes a URL, e\.g\. redis:/],
        ["memcached://:$SECRET\@h", qr{redis://\[user:password\@\]host}],
        ["h:6379/$SECRET", qr{redis://\[user:password\@\]host}],
        ["redis://$SECRET\@h/0", qr/user:password or :password/],
        ["redis://:$SECRET%\@h/0", qr/percent-encoded/],
        ["redis://:$SECRET/x\@h/0", qr/percent-encoded/],
        ["redis://:$SECRET\@h:0/0", qr/port must be a number from 1 to 65535/],
        ["redis://:$SECRET\@h:65536/0", qr/port must be a number from 1 to 65535/],
        ["redis://:$SECRET\@h:x/0", qr/port must be a number/],
        ["redis://:$SECRET\@/0", qr/host must be a name/],
        ["redis://:$SECRET\@h/one", qr/database must be a number/],
        ["redis://:$SECRET\@h/0?x=1", qr/database must be a number/],
        ["redis+unix://:$SECRET\@", qr/path must begin with a '\/'/],
        ["redis+unix://:$SECRET\@/" . 'x' x 108, qr/at most 107 bytes/],
        ["redis://:a $SECRET\@h/0", qr/argument 2 is no option; .*blacklist=PREFIX and sessions=/],
        ["redis://h/0 prefix=$SECRET", qr/argument 2 is no option/],
        ['redis://h/0 replicas=many fail=open', qr/replicas is a whole number from 0 to 100/],
        ['redis://h/0 replicas=', qr/replicas is a whole number from 0 to 100/],
        ['redis://h/0 replicas=-1', qr/replicas is a whole number from 0 to 100/],
        ['redis://h/0 replicas=101', qr/replicas is a whole number from 0 to 100/],
        ['redis://h/0 index=', qr/index takes what the keys of the sets begin with/],
        ['redis://h/0 fail=on', qr/fail is closed or open, not 'on'/],
        ['redis://h/0 fail=', qr/fail is closed or open, not ''/],
        ['redis://h/0 fail', qr/argument 2 is no option; .*fail=closed\|open/],
        ['redis://h/0 tracking=yes', qr/tracking is on or off, not 'yes'/],
        ['redis://h/0 tracking=', qr/tracking is on or off, not ''/],
        ['redis://h/0 tracking', qr/argument 2 is no option; .*tracking=on\|off/],
        ['redis+sentinel://', qr/host must be a name/],
        ["redis+sentinel://:$SECRET\@/mymaster", qr/host must be a name/],
        ["redis+sentinel://:$SECRET\@a,,b/mymaster", qr/host must be a name/],
        ["redis+sentinel://:$SECRET\@a,b:0/mymaster", qr/port must be a number from 1 to 65535/],
        ["redis+sentinel://:$SECRET\@a,b", qr/name of the master.*mymaster/],
        ["redis+sentinel://:$SECRET\@a,b/my%20master", qr/name of the master.*mymaster/],
        ["redis+sentinel://:$SECRET\@a,b/mymaster/x", qr/database must be a number/],
        ["redis+sentinel://a,b/mymaster?sentinel_password=", qr/sentinel_password=password and sentinel_user/],
        ["redis+sentinel://a,b/mymaster?sentinel_user=$SECRET", qr/second not without the first/],
        ["redis+sentinel://a,b/mymaster?password=$SECRET", qr/sentinel_password=password and sentinel_user/],
        ["redis+sentinel://:$SECRET\@a,:$SECRET\@b/mymaster", qr/once for all hosts.*with sentinels a comma/],
        ['redis+sentinel://' . join(',', 'a' .. 'i') . '/mymaster', qr/1 to 8 sentinels/],
        ["\@$dir/nowhere", qr/the file \S+nowhere can't be read/],
        ["\@$dir/empty", qr{redis://\[user:password\@\]host}]),
    (map { [UserProfileAvatarStorage => $_->[0], $_->[1]] }
        ['', qr/takes one argument, cloudinary/],
        ['cloudinary', qr{takes a URL, cloudinary://KEY:SECRET\@CLOUD or file:///path}],
        ["s3://key:$SECRET\@bucket", qr{takes a URL, cloudinary://KEY:SECRET\@CLOUD or file:///path}],
        ["cloudinary://$SECRET\@demo", qr{cloudinary://KEY:SECRET\@CLOUD}],
        ["cloudinary://key:$SECRET", qr{cloudinary://KEY:SECRET\@CLOUD|well-formed}],
        ["cloudinary://key:$SECRET\@", qr{cloudinary://KEY:SECRET\@CLOUD}],
        ["cloudinary://k%zz:$SECRET\@demo", qr/percent/],
        ["cloudinary://key:$SECRET/x\@demo", qr/percent|KEY:SECRET/],
        ["cloudinary://key:$SECRET\@demo:80", qr/no port/],
        ["cloudinary://key:$SECRET\@de_mo%2f", qr/CLOUD must be/],
        ["cloudinary://key:$SECRET\@demo?folder=../x", qr/folder must be/],
        ["cloudinary://key:$SECRET\@demo?folder=/x", qr/folder must be/],
        ["cloudinary://key:$SECRET\@demo?fold=x", qr/parameter is unknown: there are folder/],
        ["cloudinary://key:$SECRET\@demo?folder=a&folder=b", qr/parameter comes twice/],
        ["cloudinary://key:$SECRET\@demo?signature_algorithm=md5", qr/must be sha1 or sha256/],
        ["cloudinary://key:$SECRET\@demo?upload_prefix=http://h.example", qr/must be https/],
        ["cloudinary://key:$SECRET\@demo?upload_prefix=ftp://127.0.0.1", qr/must be https/],
        ['file://relative/path', qr{absolute: file:///path}],
        ['file:', qr{absolute}],
        ["file://$dir?url=avatars", qr{must begin with /}],
        ["file://$dir?url=//h/x", qr{must begin with /}],
        ["file://$dir?uri=/avatars", qr/parameter is unknown: there are url/],
        ["\@$dir/nowhere", qr/the file \S+nowhere can't be read/],
        ["\@$dir/short", qr{takes a URL, cloudinary://KEY:SECRET\@CLOUD or file:///path}]),
);
my @AVATAR = (UserProfileField => ['id integer', 'picture avatar nullable']);

for my $row (@WRONG_URLS) {
    my ($directive, $argument, $pattern) = @$row;
    my @field = $directive eq 'UserProfileAvatarStorage' ? @AVATAR : ();
    refused("$directive $argument", {@field, $directive => $argument}, $pattern, $SECRET);
}
refused('an avatar without storage', {@AVATAR}, qr/^UserProfileAvatarStorage is missing: .* e\.g\. /);
refused('a storage without an avatar', {UserProfileAvatarStorage => "file://$dir"},
    qr/^UserProfileAvatarStorage: no UserProfileField is of type avatar/);
refused('two avatars', {UserProfileField => ['a avatar', 'b avatar'],
        UserProfileAvatarStorage => "file://$dir"}, qr/^UserProfileField b: there is an avatar already, a/);
spew("$dir/redis.url", "redis://:$SECRET\@127.0.0.1:1/0\n");
spew("$dir/storage.url", "cloudinary://key:$SECRET\@demo\n");
chmod 0600, "$dir/redis.url", "$dir/storage.url";
accepted("UserProfileTokenStore $_", {UserProfileTokenStore => $_}) for (
    'redis://localhost', 'redis://[::1]:6380/3', 'REDIS://h.example:1/0', "redis://u:$SECRET\@h/0",
    'redis+unix:///run/redis.sock', "redis+unix://:$SECRET\@/run/redis.sock?db=2",
    'redis://h/0 blacklist=bl: sessions=rt:', '"redis://h/0" sessions=', "\@$dir/redis.url",
    "\@$dir/redis.url blacklist=b:", 'redis://h/0 replicas=0 fail=closed', 'redis://h/0 index=user_sessions:', 'redis://h/0 replicas=2',
    'redis://h/0 tracking=on', 'redis://h/0 tracking=OFF fail=closed',
    'redis+sentinel://h/m', "redis+sentinel://u:$SECRET\@a,b:1,[::1]/my-master.1/2?sentinel_password=$SECRET",
    "redis+sentinel://a/m?sentinel_user=u&sentinel_password=$SECRET replicas=0"
);
note_case({UserProfileTokenStore => 'redis://h/0 fail=open'}, 'accepted with a warning: fail=open',
    sub { $_[0] && $_[1] =~ /fail=open: .*UNCHECKED.*\nSyntax OK$/s });
accepted("UserProfileAvatarStorage $_", {@AVATAR, UserProfileAvatarStorage => $_}) for (
    'cloudinary://key:s%40cret@demo', 'CLOUDINARY://key:secret@demo?folder=a/b&secure=true',
    'cloudinary://key:secret@demo?upload_prefix=http://127.0.0.1:8080&signature_algorithm=sha256',
    "file://$dir", "FILE://localhost$dir?url=https://cdn.example.com/a", "file://$dir?url=/avatars/",
    "\@$dir/storage.url", "file://$dir?create=yes", "file://$dir?url=/a&create=no"
);
accepted("UserProfileAvatarDimensions $_", {UserProfileAvatarDimensions => $_})
    for qw(1x1 65535x65535 4096X300 00010x10);
accepted('no storage, in so many words', {UserProfileAvatarStorage => 'none'});
accepted('no token store, in so many words',
    {UserProfileTokenStore => 'none', UserProfileMethods => 'GET'});

# --- UserProfile and Require ----------------------------------------------------------------------

my $INSIDE = qr/^UserProfile stands inside of <Location "\/path">/;
my %WRONG_PLACE = (
    'the server itself' => "UserProfile On\n",
    '<LocationMatch>' => qq(<LocationMatch "/me">\nUserProfile On\n</LocationMatch>\n),
    '<Location ~>' => qq(<Location ~ "/(me|you)">\nUserProfile On\n</Location>\n),
    'a <Location> with a pattern' => qq(<Location "/*/me">\nUserProfile On\n</Location>\n),
    'a <Location> with a slash at its end' => qq(<Location "/me/">\nUserProfile On\n</Location>\n),
    'the <Location> of everything' => qq(<Location "/">\nUserProfile On\n</Location>\n),
    '<Directory>' => qq(<Directory "$dir">\nUserProfile On\n</Directory>\n),
    '<Files>' => qq(<Files "me">\nUserProfile On\n</Files>\n),
    '<If> in a <Location>' => qq(<Location "/me">\n<If "true">\nUserProfile On\n</If>\n</Location>\n),
    '<Limit> in a <Location>' => qq(<Location "/me">\n<Limit GET>\nUserProfile On\n</Limit>\n</Location>\n),
);
refused("UserProfile in $_", {Location => $WRONG_PLACE{$_}}, $INSIDE) for sort keys %WRONG_PLACE;
refused('UserProfile with a path', {Location => qq(<Location "/me">\nUserProfile /x\n</Location>\n)},
    qr/^UserProfile must be On or Off/);
refused('UserProfileTable in a <Location>',
    {Location => qq(<Location "/me">\nUserProfileTable x\n</Location>\n)},
    qr/^UserProfileTable (?:not allowed|cannot occur)/);
refused('Require without a role',
    {After => "<Location \"/x\">\nAuthType Bearer\nRequire userprofile-role\n</Location>\n"},
    qr/^Require userprofile-role takes at least one role/);
accepted('UserProfile in a <Location> in <IfModule>',
    {Location => "<IfModule userprofile_module>\n$LOCATION</IfModule>\n"});
accepted('UserProfile Off', {After => qq(<Location "/me/x">\nUserProfile Off\n</Location>\n)});
accepted('two resources', {After => $LOCATION =~ s{/me}{/you}r});
accepted('Require with roles', {
    After => "<Location \"/x\">\nAuthType Bearer\nAuthName x\nRequire userprofile-role a b\n</Location>\n"});

# --- Virtual hosts --------------------------------------------------------------------------------

my $vhost = sub { "<VirtualHost 127.0.0.1:2>\nServerName vhost.example\n$_[0]</VirtualHost>\n" };
refused('what a virtual host lacks', {After => $vhost->("UserProfileTable people\n")},
    qr/^UserProfileKeyColumn is missing: .*\(in server vhost\.example\)$/);
refused("a virtual host's connections", {After => $vhost->("UserProfileConnections 9\nDBDMax 8\n")},
    qr/^UserProfileConnections 9 is more than DBDMax 8: .*\(in server vhost\.example\)$/);
refused("a virtual host's database", {After => $vhost->("DBDParams host=/x\nDBDMax 2\n")},
    qr/^UserProfileConnections 8 is more than DBDMax 2: .*\(in server vhost\.example\)$/);
my @DELETABLE = (@AVATAR, UserProfileAvatarStorage => "file://$dir", UserProfileTokenStore => 'redis://h/0');
refused("a journal shared by servers that differ: $_", {@DELETABLE, After => $vhost->("$_\n")},
    qr/^UserProfileJournal userprofile_journal is that of another server .*; name another journal/) for (
    "UserProfileAvatarStorage file://$dir/2", 'UserProfileTokenStore redis://h/1',
    'UserProfileTokenStore redis://h/0 sessions=x:', "UserProfileField id integer\nUserProfileAvatarStorage none\n"
    . 'UserProfileMethods GET DELETE');
accepted("a journal shared by servers that are alike: $_", {@DELETABLE, After => $vhost->("$_\n")}) for (
    'UserProfileUnknownUser 404', 'UserProfileTokenStore redis://h/0', "UserProfileAvatarStorage file://$dir");
accepted("what differs has another journal, table or database, or needs none: $_",
    {@DELETABLE, After => $vhost->("UserProfileTokenStore redis://h/1\n$_\n")}) for (
    'UserProfileJournal other', 'DBDParams host=/elsewhere',
    "UserProfileField id integer\nUserProfileAvatarStorage none\nUserProfileMethods GET PATCH");
refused("a virtual host's state without what the main server's grace period needs",
    {@GRACE, After => $vhost->("UserProfileStateColumns none\n")},
    qr/^UserProfileGracePeriod: .*\(in server vhost\.example\)$/);
accepted('... where it says that it has none',
    {@GRACE, After => $vhost->("UserProfileStateColumns none\nUserProfileGracePeriod none\n")});
accepted('... or is a contract of its own', {@GRACE, After => $vhost->(conf() =~ s/^DBD.*\n//mgr =~ s/^<.*//smr)});
accepted('a virtual host that says nothing', {After => $vhost->('')});
accepted("a virtual host's own limits", {After => $vhost->("UserProfileConnections 3\nDBDMax 3\n")});
accepted('a virtual host without an avatar, where the main server has one', {
    @AVATAR, UserProfileAvatarStorage => "file://$dir",
    After => $vhost->("UserProfileField id integer\nUserProfileAvatarStorage none\nUserProfileJournal x\n")});

try_all();

# --- The shipped configurations, and nobody is asked ----------------------------------------------

my $knocked = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 5, Blocking => 0) or die $!;
my $postgres = IO::Socket::UNIX->new(Local => "$dir/.s.PGSQL.5432", Listen => 5) or die $!;
my $port = $knocked->sockport;
my %surroundings = (
    USERPROFILE_DB => "host=$dir dbname=x password=$SECRET",
    USERPROFILE_TOKENS => "redis://:$SECRET\@127.0.0.1:$port/0",
    USERPROFILE_AVATARS => "cloudinary://key:$SECRET\@demo?upload_prefix=http://127.0.0.1:$port",
);
my $top = scratch() . '/top';
my $info = UserProfile::Httpd::modules_folder() . '/mod_info.so';
for my $name (qw(fluentmeet killrvideo)) {
    my $shipped = qq(Include "$top/conf/$name.conf"\n);

    local $node->{defines} = {%{$node->{defines}}, %surroundings};
    is((configtest($shipped))[1], "Syntax OK\n", "conf/$name.conf is accepted");
    is((configtest($vhost->($shipped)))[1], "Syntax OK\n", '... and in a virtual host');
    my @listening = map { defined && $_->opened ? $_ : () } $knocked, $postgres;
    $_->blocking(0) for @listening;
    ok(!(grep { $_->accept } @listening), '... without a word to Postgres, Redis or the storage');

    $node->{conf} = qq(LoadModule info_module "$info"\n$shipped);
    $node->write;
    my $dump = $node->dump;
    like($dump, qr/^\s*UserProfileTokenStore "redis:\/\/127\.0\.0\.1:$port\/0"/m,
        '-D DUMP_CONFIG shows the token store');
    ok(index($dump, $SECRET) < 0, '... and none of the secrets');
}

done_testing();
