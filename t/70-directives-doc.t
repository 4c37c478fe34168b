#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# docs/directives.md has an entry for each directive that the module has, and for no other; what it
# says of context and default is so, and its examples are good configurations. The shipped
# configurations use what there is. docs/problems.md has a section for each code.
use strict;
use warnings;
use Test::More;
use UserProfile::Process qw(run_quietly);
use UserProfile::Test;

my $keys = servers()->{keys};
my $dir = scratch() . "/doc-$$";
mkdir $dir or die "$dir: $!\n";
spew("$dir/storage.url", "cloudinary://key:secret\@demo\n");
chmod 0600, "$dir/storage.url";

# --- What the module has --------------------------------------------------------------------------

my $node = node(conf => '');
my $listed = run_quietly($node->_command('-L'));
my (%allowed, %default);
while ($listed =~ /^(\S+) \(mod_userprofile\.c\)\n\t(.+)\n\t(Allowed .+)$/mg) {
    my ($name, $help, $where) = ($1, $2, $3);
    $allowed{$name} = $where;
    ok($help !~ /[^\x20-\x7e]/, "httpd -L explains $name, in ASCII");
    $default{$name} = $1 // $2 if $help =~ /\(default ([^)]+)\)|(\S+) \(the default\)/;
}
cmp_ok(scalar keys %allowed, '>', 20, 'httpd -L lists the directives of the module');
is_deeply([grep { !/^UserProfile/ } keys %allowed], [], '... which begin with UserProfile');

# --- The entries ----------------------------------------------------------------------------------

my $doc = slurp('docs/directives.md');
my (%entry, @twice);
while ($doc =~ /^## (\S+)\n(.*?)(?=^##? |\z)/msg) {
    push @twice, $1 if $entry{$1};
    $entry{$1} = $2;
}
is_deeply([sort keys %entry], [sort keys %allowed], 'each directive has an entry, and each entry a directive');
is_deeply(\@twice, [], '... one each');

for my $name (sort keys %entry) {
    my %row = $entry{$name} =~ /^\| \*\*(\w+):\*\* \| (.+) \|$/mg;
    my $context = $name eq 'UserProfile' ? '`<Location>`' : 'server config, virtual host';

    is("@{[sort keys %row]}", 'Context Default Description Module Syntax', "$name: the form of the manual");
    is($row{Context}, $context, "$name: its context");
    like($row{Syntax}, qr/^`$name /, "$name: its syntax begins with it");
    like($entry{$name}, qr/```apache\n(?:.*\n)*\s*$name /, "$name: an example");
    like($row{Default}, qr/\Q$default{$name}\E/, "$name: its default, as httpd -L has it") if $default{$name};
    like($doc, qr/\(#\L$name\E\)/, "$name: the list at the top leads to it");
    like($allowed{$name}, $name eq 'UserProfile' ? qr/anywhere|<Location>/ : qr/only outside .*<Location>/,
        "$name: httpd knows the context, too");
}

# What is linked to is there.
my %anchor = map { (lc =~ tr/ /-/r =~ tr/a-z0-9_-//cdr, 1) } $doc =~ /^#+ (.+)$/mg;
is_deeply([grep { !$anchor{$_} } $doc =~ /\(#([^)]+)\)/g], [], 'every anchor that is linked to is there');
is_deeply([grep { !-e "docs/$_" } map { s{#.*}{}r } $doc =~ /\]\(((?!https?:|#)[^)]+)\)/g], [], 'so is every file');
is_deeply([grep { !$allowed{$_} } $doc =~ /\b(UserProfile\w+)\b/g], [], 'no directive is spoken of that is none');

# --- Defaults and examples are good configurations ------------------------------------------------

my @BASE = (
    DBDriver => 'pgsql', DBDParams => '"host=/nowhere"', UserProfileTable => 'users',
    UserProfileKeyColumn => 'id', UserProfileSubjectColumn => 'email', UserProfileField => 'x integer',
    UserProfileTokenKey => "HS256 $keys/hs256.key", UserProfileTokenStore => 'redis://127.0.0.1:1/0',
);

# Whether httpd takes these lines, with what they lack of a contract.
sub accepted {
    my ($lines, $name) = @_;
    my %there = map { $_ => 1 } $lines =~ /^\s*(\w+)/mg;
    my @base = @BASE;
    my $conf = '';

    $lines =~ s{/etc/apache2/userprofile\.key}{$keys/hs256.key}g;
    $lines =~ s{/etc/apache2/rsa\.pub\.pem}{$keys/rsa.pub.pem}g;
    $lines =~ s{/etc/apache2/cloudinary\.url}{$dir/storage.url}g;
    my %avatar = (
        "UserProfileField face avatar\n" => !!($lines =~ /^\s*UserProfileField .* avatar\b/m),
        "UserProfileAvatarStorage file:///var/lib/avatars\n" => !!($lines =~ /^\s*UserProfileAvatarStorage (?!none)/m),
    );
    if ($lines =~ /^\s*UserProfileMethods .*\bavatar/m || grep { $_ } values %avatar) {
        $conf .= $_ for grep { !$avatar{$_} } sort keys %avatar;
    }
    $conf .= "UserProfileMethods GET\n" if $lines =~ /^\s*UserProfileTokenStore none/m;
    while (my ($directive, $arguments) = splice @base, 0, 2) {
        $conf .= "$directive $arguments\n" unless $there{$directive};
    }
    $node->{conf} = "$conf$lines\n";
    $node->write;
    my $said = eval { $node->check } // $@;
    return is($said, "Syntax OK\n", $name);
}

for my $name (sort keys %entry) {
    my @examples = $entry{$name} =~ /^```apache\n(.*?)^```$/msg;
    accepted($_, "$name: its example is right") for @examples;
    my ($default) = $entry{$name} =~ /^\| \*\*Default:\*\* \| `([^`]+)` \|$/m or next;
    like($default, qr/^$name /, "$name: its default begins with it");
    accepted($name eq 'UserProfile' ? "<Location \"/x\">\n$default\n</Location>" : $default,
        "$name: its default can be said");
}
accepted($_, 'an example that belongs to no entry is right')
    for $doc =~ s/^## .*?(?=^# )//msgr =~ /^```apache\n(.*?)^```$/msg;

# --- The shipped configurations -------------------------------------------------------------------

for my $file (glob('conf/*.conf'), glob('t/tables/*.conf')) {
    my @used = slurp($file) =~ /^\s*(UserProfile\w*)/mg;

    cmp_ok(scalar @used, '>', 5, "$file uses the module");
    is_deeply([grep { !$allowed{$_} } @used], [], '... and no directive that is not there');
    next unless $file =~ /^conf/;

    # A page that a sysadmin reads from top to bottom: above each directive is why.
    my ($above, $last, @bare) = ('', '');
    for my $line (split /\n/, slurp($file)) {
        my ($name) = $line =~ /^\s*<?(\w+)/;
        push @bare, $line if $name && $name ne $last && $above !~ /^\s*#(?! ---)|^<IfDefine /;
        ($above, $last) = ($line, $name // '');
    }
    is(join("\n", @bare), '', '... and says above each why');
}

# --- Problems -------------------------------------------------------------------------------------

my @codes = slurp('src/core/problem.c') =~ /^\s*\[UP_\w+\] = \{"([A-Z_]+)"/mg;
my ($number) = slurp('src/core/problem.h') =~ /typedef enum up_code \{(.*?)UP_CODES/s;
is(scalar @codes, scalar(() = $number =~ /UP_\w+,/g), 'the codes of the source have been found');
my $problems = slurp('docs/problems.md');
my %section = $problems =~ /^## (\S+)\n(.*?)(?=^## |\z)/msg;
is_deeply([sort keys %section], [sort map { lc =~ tr/_/-/r } @codes],
    'docs/problems.md has a section for each code, and for no other');
for my $code (@codes) {
    my $text = $section{lc $code =~ tr/_/-/r} // '';
    my ($status) = slurp('src/core/problem.c') =~ /\{"$code", "[^"]+", (\d+),/;
    my $both = $code =~ /^(?:VALIDATION_ERROR|INVALID_LANGUAGE_CODE)$/ ? ' or 422' : '';

    like($text, qr/^\n$status$both `$code`\. \S/, "$code: its section has status and code, and says more");
}

done_testing();
