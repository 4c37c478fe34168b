#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# debian/ fits the rest: one version everywhere, what the build needs as the Makefile has it, files
# that are there, scripts that are shell. The package itself is for `make deb` and `make test-deb`.
use strict;
use warnings;
use Test::More;
use UserProfile::Httpd ();
use UserProfile::Process qw(run_quietly);
use UserProfile::Test;

# --- Versions -------------------------------------------------------------------------------------

my ($version) = slurp('src/core/version.h') =~ /^#define UP_VERSION "(\d+\.\d+\.\d+)"$/m;
my ($first) = slurp('debian/changelog') =~ /\A(.*)\n/;
is($first, "mod-userprofile ($version) unstable; urgency=medium", 'debian/changelog begins with the version');
like(slurp('debian/changelog'), qr/^ -- [^<>]+ <\S+@\S+>  \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}$/m,
    '... and somebody has signed it');
my ($newest) = slurp('CHANGELOG.md') =~ /^## (\S+)/m;
is($newest =~ s/,\z//r, $version, 'so does CHANGELOG.md');
my @elsewhere = grep { slurp($_) =~ /UP_VERSION "/ } glob('src/*/*.h src/*/*.c mod_userprofile.c');
is("@elsewhere", 'src/core/version.h', 'it is written nowhere else');

# --- What the build needs -------------------------------------------------------------------------

my $control = slurp('debian/control');
my %paragraph = map { (/\A(Source|Package): / ? $1 : '') => $_ } split /\n\n+/, $control;
my ($needs) = $paragraph{Source} =~ /^Build-Depends:(.*(?:\n[ ].*)*)/m;
my %needs = map { /^\s*([\w.+-]+)/ ? ($1 => 1) : () } split /,/, $needs;
my ($libraries) = slurp('Makefile') =~ /^LIBRARIES := ((?:.*\\\n)*.*)/m;
my @packages = ($libraries =~ /:(\S+)/g, qw(libapr1-dev libaprutil1-dev apache2-dev pkg-config));
cmp_ok(scalar @packages, '>', 8, 'the libraries of the Makefile have been found');
is("@{[grep { !$needs{$_} } @packages]}", '', 'each is in Build-Depends');
like($paragraph{Package}, qr/^Depends:(?:.*\n )*.*\$\{shlibs:Depends\}/m, 'the package depends on what it is linked with');

# --- Files ----------------------------------------------------------------------------------------

for my $list (qw(install docs examples)) {
    for my $line (split /\n/, slurp("debian/libapache2-mod-userprofile.$list")) {
        my ($file) = split ' ', $line;
        ok(-e $file, "debian/...$list: $file is there");
    }
}
for my $script (map { "debian/libapache2-mod-userprofile.$_" } qw(postinst postrm)) {
    is(run_quietly('sh', '-n', $script), '', "$script is shell");
    like(slurp($script), qr/^set -e$/m, '... and ends where something fails');
    like(slurp($script), qr/^#DEBHELPER#$/m, '... and has a place for what debhelper adds');
}
ok(-x 'debian/rules', 'debian/rules can be run');

# a2enmod loads what the shipped configurations take of other modules.
my ($modules) = slurp('debian/userprofile.load') =~ /^# Depends: (.*)$/m;
my %module_of = ('alias' => qr/^\s*Alias /m, 'headers' => qr/^\s*Header /m, 'dbd' => qr/^\s*DBDriver /m,
    'authn_core' => qr/^\s*AuthType /m, 'authz_user' => qr/^\s*Require valid-user$/m);
my $shipped = join '', map { slurp($_) } glob 'conf/*.conf';
is($modules, join(' ', sort grep { $shipped =~ $module_of{$_} } keys %module_of), 'a2enmod takes their modules along');

# The example, with what it includes where it is here, and with the module missing.
my $example = slurp('debian/userprofile.conf') =~ s{/usr/share/libapache2-mod-userprofile}{scratch() . '/top'}egr;
for my $contract (qw(embedded fluentmeet)) {
    my $conf = $contract eq 'embedded' ? $example : $example =~ s/^(\s*)Include/$1#Include/mr =~ s/^(\s*)#(?=Define|Include \S+fluentmeet)/$1/mgr;
    my $node = node(conf => $conf, defines => {servers()->defines});
    like($node->check, qr/^Syntax OK$/m, "the example with $contract.conf passes configtest");
    spew("$node->{dir}/httpd.conf", UserProfile::Httpd::load_modules('event', '') =~ s/^.*userprofile_module.*\n//mr
            . "Listen 127.0.0.1:$node->{port}\nServerName 127.0.0.1\nErrorLog $node->{error_log}\n$conf");
    like(run_quietly($node->_command('-t')), qr/^Syntax OK$/m, '... and without the module');
}

done_testing();
