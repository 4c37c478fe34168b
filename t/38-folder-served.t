#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# A picture in the avatars' folder is served as a picture and as nothing else, whatever the server
# around it does with its files: CGI, interpreters, server-side includes, filters, other types, and
# a .htaccess that has got into the folder.
use strict;
use warnings;
use Test::More;
use UserProfile::Avatar;
use UserProfile::Httpd qw(modules_folder);
use UserProfile::Picture qw(with_chunk with_segment);
use UserProfile::Test;

# The embedded configuration brings the folder's with it.
my $folder = embedded ? servers->{embedded} . '/avatars' : scratch() . '/avatars-38';
-d $folder or mkdir $folder or die "$folder: $!\n";
my $programs = scratch() . "/programs-38-$$";
mkdir $programs or die "$programs: $!\n";
spew("$programs/run", "#!/bin/sh\nprintf 'Content-Type: text/html\\n\\nexecuted'\n");
chmod 0755, "$programs/run";

my $modules = modules_folder();
my $load = join '', map { qq(LoadModule ${_}_module "$modules/mod_$_.so"\n) }
    qw(actions cgi include ext_filter), 'filter';

# As plain as can be: the rest is the module's.
my $plain = <<"CONF";
Alias /avatars "$folder"
<Directory "$folder">
    Require all granted
</Directory>
CONF

# What a server may do with all that it has: a virtual host each.
my %DANGER = (
    'CGI by extension' => qq(AddHandler cgi-script .png .jpg .webp .x\n<Directory "$folder">\nOptions +ExecCGI\n</Directory>),
    'CGI for the whole server' => qq(<Location "/avatars">\nSetHandler cgi-script\nOptions +ExecCGI\n</Location>),
    'an interpreter by extension' => 'AddHandler interpreted .png .jpg .webp .x',
    'an interpreter by type' => "Action image/png /programs/run\nAction image/jpeg /programs/run\nAction image/webp /programs/run\n"
        . "Action text/x /programs/run\nAddType text/x .x",
    'an interpreter for files' => qq(<FilesMatch "\\.(?:png|jpg|webp|x)\$">\nSetHandler interpreted\n</FilesMatch>),
    'an interpreter for the whole server' => qq(<Location "/">\nSetHandler interpreted\n</Location>),
    'includes by extension' => "AddOutputFilter INCLUDES .png .jpg .webp .x\n<Location \"/\">\nOptions +Includes\n</Location>",
    'includes for the whole server' => "<Location \"/\">\nSetOutputFilter INCLUDES\nOptions +Includes\n</Location>",
    'a filter of the sysadmin' => "ExtFilterDefine change mode=output cmd=\"/usr/bin/tr A-Z a-z\"\n"
        . "<Location \"/\">\nSetOutputFilter change\n</Location>",
    'another type' => "<Location \"/\">\nForceType text/html\n</Location>\nAddEncoding x-gzip .png .jpg .webp .x\n"
        . 'AddLanguage en .png .jpg .webp .x',
    'a .htaccess' => qq(<Directory "$folder">\nAllowOverride All\nOptions +Includes +ExecCGI\n</Directory>),
);
my $HTACCESS = <<'CONF';
SetHandler interpreted
ForceType text/html
SetOutputFilter INCLUDES
Options +Includes +ExecCGI
CONF

my $port = free_port();
my %number = map { my $i = $_; ((sort keys %DANGER)[$i] => "d$i.example") } 0 .. keys(%DANGER) - 1;
my $vhosts = join '', "Listen 127.0.0.1:$port\n", map { <<"CONF" } sort keys %DANGER;
<VirtualHost 127.0.0.1:$port>
ServerName $number{$_}
$DANGER{$_}
</VirtualHost>
CONF
my $shared = <<"CONF";
ScriptAlias /programs "$programs"
<Directory "$programs">
    Require all granted
</Directory>
Action interpreted /programs/run
CONF
my $contract = embedded ? 'Include "' . scratch() . qq(/top/conf/embedded.conf"\n) : contract() . $plain;
my $node = node(conf => $load . $contract . $shared . $vhosts,
    defines => {USERPROFILE_AVATARS => "file://$folder?url=/avatars"})->start;

# Text that an include would be made of, where stripping leaves it.
my $include = '<!--#set var="x" value="y" --><!--#echo var="x" -->';
my %picture = (
    png => with_chunk(png(), 'iCCP', "x\0\0$include"),
    jpg => with_segment(jpeg(), 0xe2, "ICC_PROFILE\0\1\1$include"),
    webp => webp(),
);
my %type = (png => 'image/png', jpg => 'image/jpeg', webp => 'image/webp');

# What httpd answers is this picture, and says what it is.
sub is_picture {
    my ($res, $format, $name) = @_;
    my %want = ('Content-Type' => $type{$format}, 'X-Content-Type-Options' => 'nosniff',
        'Content-Security-Policy' => "default-src 'none'; sandbox",
        'Content-Disposition' => qq(inline; filename="avatar.$format"));
    my @wrong = map { "$_: " . ($res->header($_) // '-') } grep { ($res->header($_) // '') ne $want{$_} } sort keys %want;

    push @wrong, map { "$_: " . $res->header($_) } grep { defined $res->header($_) } qw(Content-Encoding Content-Language);
    push @wrong, 'status ' . $res->code unless $res->code == 200;
    push @wrong, 'other bytes' unless $res->content eq $picture{$format};
    return ok(!@wrong, $name) || diag(map { "  $_\n" } @wrong);
}

my %url;
for my $format (sort keys %picture) {
    my $res = avatar('PUT', person(), $picture{$format}, port => $node->{port}, type => $type{$format});

    $url{$format} = json($res)->{avatar_url};
    is_picture(request('GET', $url{$format}, port => $node->{port}), $format, "$format: served");
    my $head = request('HEAD', $url{$format}, port => $node->{port});
    is($head->header('Content-Disposition'), qq(inline; filename="avatar.$format"), "$format: HEAD likewise");
    is(request('GET', $url{$format}, port => $node->{port}, headers => {Range => 'bytes=0-9'})->content,
        substr($picture{$format}, 0, 10), "$format: a part of it");
}
is(request($_, $url{png}, port => $node->{port}, body => 'x')->code, 405, "$_: not to be done with it") for qw(PUT DELETE);
isnt(request('GET', "$url{png}/x.php", port => $node->{port})->code, 200, 'nothing is below it');

# The same bytes beside them, which are no picture of ours: there the danger is real.
spew("$folder/bait.x", $picture{png});
spew("$folder/.htaccess", $HTACCESS);
chmod 0644, "$folder/bait.x", "$folder/.htaccess";
for my $danger (sort keys %DANGER) {
    my @at = (port => $port, headers => {Host => $number{$danger}});
    my $bait = request('GET', '/avatars/bait.x', @at);

    ok($bait->code != 200 || $bait->content ne $picture{png} || ($bait->header('Content-Encoding') // '') ne '',
        "$danger: is one for other files");
    is_picture(request('GET', $url{$_}, @at), $_, "$danger: none for a $_") for sort keys %url;
}
unlink "$folder/bait.x", "$folder/.htaccess";
unlink glob "$folder/*.{png,jpg,webp}";
rmdir $folder;
$node->stop;
done_testing();
