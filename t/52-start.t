#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# What `httpd -t` cannot see, the log tells at the start, before the first request; it names each
# contract in a line. A database that is away is waited for. No secret is in the log, nor in what
# mod_info shows.
use strict;
use warnings;
use Test::More;
use UserProfile::Test;

my $SECRET = 'sesame-8f3a';
my $top = scratch() . '/top';
my $dir = scratch() . "/start-$$";
mkdir $dir or die "$dir: $!\n";
spew("$dir/short", "too short\n");
my $info = UserProfile::Httpd::modules_folder() . '/mod_info.so';

# --- What a running httpd shows and tells ---------------------------------------------------------

my $running = node(
    defines => {
        USERPROFILE_DB => servers()->dsn('fluentmeet') . " password='$SECRET'",
        USERPROFILE_TOKENS => "redis+unix://:$SECRET\@/nowhere",
        USERPROFILE_AVATARS => "cloudinary://4711:$SECRET\@demo",
    },
    conf => qq(LoadModule info_module "$info"\nInclude "$top/conf/fluentmeet.conf"\n)
        . "<Location \"/server-info\">\nSetHandler server-info\nRequire all granted\n</Location>\n"
        . "UserProfileTokenKey HS256 $dir/short\n",
)->start;
my $page = request('GET', '/server-info?config', port => $running->{port})->content;
my $log = $running->{error_log};

like($page, qr/UserProfileAvatarStorage.*cloudinary:\/\/\*\*\*:\*\*\*\@demo/, 'server-info: the storage');
like($page, qr/UserProfileTokenStore.*redis\+unix:\/\/\/nowhere/, 'server-info: the token store');
like($page, qr/DBDParams/, 'server-info: DBDParams is there');
unlike($page, qr/DBDParams.*password=/, '... without its password');
ok(index($page, $SECRET) < 0, 'server-info: none of the secrets');
like(slurp($log), qr/UserProfileTokenKey: the mode of the file \S+short lets everybody read it/,
    'the log warns of a secret that everybody can read');
is(() = slurp($log) =~ /the mode of the file/g, 1, '... of that alone, once');
like(slurp($log), qr/UserProfileTokenKey number 2: .*32 random bytes/, 'the log warns of a weak secret');
my @starts = slurp($log) =~ /userprofile \d\S*: (.*)/g;
is(scalar @starts, 1, 'the log has one line for one contract');
like($starts[0],
    qr{table users on Postgres, 9 fields, errors as json; tokens: redis\+unix:///nowhere\S*; avatars: cloudinary://\*\*\*:\*\*\*\@demo},
    '... which says what it is made of');
ok(index(slurp($log), $SECRET) < 0, '... without a secret');
$running->stop;

# --- What only the database knows -----------------------------------------------------------------

my %LACKING = (
    'a column' => ["UserProfileField nickname string\n", qr/column "nickname" does not exist/],
    'a related table' => ["UserProfileErase phones user_id\n", qr/relation "phones" does not exist/],
    "a related table's column" =>
        ["UserProfileErase participants person\n", qr/column r\.person does not exist/],
    'the journal' => ["UserProfileJournal diary\n", qr/\bdiary\w*\b.* does not exist/],
);
for my $what (sort keys %LACKING) {
    my ($more, $pattern) = @{$LACKING{$what}};
    my $lacking = node(conf => qq(Include "$top/conf/fluentmeet.conf"\n$more))->start;
    my $line = qr/userprofile: at the start: .*$pattern/;

    log_like(0, $line, "$what that the database lacks is named at the start", $lacking->{error_log});
    $lacking->stop;
}

# Its socket is not there yet: as if the server came up later than httpd.
my $away = node(defines => {USERPROFILE_DB => "host=$dir/later dbname=fluentmeet user="
            . servers()->{role}})->start;
my $user = user_new();
my $token = token(sub => $user->{email});
is_error(me('GET', token => $token, port => $away->{port}), 503, 'SERVICE_UNAVAILABLE',
    'httpd starts without the database, and answers 503');
log_like(0, qr/\[userprofile:error\].*no connection to the database/, '... which the log explains',
    $away->{error_log});
symlink servers()->{postgres}, "$dir/later" or die "symlink: $!\n";
my $up = wait_for(10, sub { me('GET', token => $token, port => $away->{port})->code == 200 });
ok($up, 'and serves as soon as the database is there');
is_profile(me('GET', token => $token, port => $away->{port}), {id => $user->{id}}, '... as ever')
    for 1 .. 4;

done_testing();
