#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# Avatars in a folder that httpd serves: what is stored is served under the URL in the profile, with
# the type that it has, without what it told of its maker, and there is nothing else in the folder.
use strict;
use warnings;
use Test::More;
use UserProfile::Avatar;
use UserProfile::Picture qw(telling with_segment);
use UserProfile::Test;

# The embedded configuration brings the folder's with it.
my $folder = embedded ? servers->{embedded} . '/avatars' : scratch() . '/avatars-34';
mkdir $folder or die "$folder: $!\n";
journal_clear();

my $alias = <<"CONF";
Alias /avatars "$folder"
<Directory "$folder">
    Require all granted
</Directory>
CONF
my $node = node(conf => embedded ? 'Include "' . scratch() . qq(/top/conf/embedded.conf"\n) : contract() . $alias, defines => {USERPROFILE_AVATARS => "file://$folder?url=/avatars"})->start;
my $at = {port => $node->{port}};

sub files {
    opendir my $dir, $folder or die "$folder: $!\n";
    return sort grep { !/^\.\.?$/ } readdir $dir;
}

# One check of what is left: the row, the folder and what httpd serves are this picture.
sub serves {
    my ($person, $res, $picture, $type, $name) = @_;
    my $url = (json($res) // {})->{avatar_url} // '';
    my @wrong;

    push @wrong, 'the status is ' . $res->code unless $res->code == 200;
    push @wrong, "avatar_url is $url" unless $url =~ m{\A/avatars/[0-9a-f]{32}\.(?:jpg|png|webp)\z};
    push @wrong, 'the row has another' unless (user_row($person->{id})->{avatar_url} // '') eq $url;
    push @wrong, 'the files are ' . join ', ', files() unless join('', files()) eq $url =~ s{.*/}{}r;
    push @wrong, 'the journal has ' . join ', ', journal() if journal();
    if (!@wrong) {
        my $served = request('GET', $url, %$at);
        push @wrong, 'httpd answers ' . $served->code unless $served->code == 200;
        push @wrong, 'httpd says it is ' . ($served->header('Content-Type') // 'nothing')
            unless ($served->header('Content-Type') // '') eq $type;
        push @wrong, 'its bytes differ' if $served->content ne $picture;
        push @wrong, sprintf 'its mode is %o', (stat "$folder/" . (files())[0])[2] & 07777
            unless ((stat "$folder/" . (files())[0])[2] & 07777) == 0644;
    }
    ok(!@wrong, $name) or diag(map({ "  $_\n" } @wrong), $res->as_string);
    return $url;
}

my %type = (jpg => 'image/jpeg', png => 'image/png', webp => 'image/webp');

subtest 'each type, by each way' => sub {
    my $person = person();
    my %picture = (jpg => jpeg(), png => png(), webp => webp());
    my $before;

    for my $format (sort keys %picture) {
        my $picture = $picture{$format};
        my %way = (
            'raw' => sub { avatar('PUT', $person, $picture, %$at, type => 'application/octet-stream') },
            'multipart' => sub { avatar('POST', $person, undef, %$at,
                form => [part($picture, filename => 'evil.html', type => 'text/html')]) },
            'PATCH' => sub { me('PATCH', token => $person->{token}, %$at,
                form => [part($picture), {name => 'full_name', body => $format}]) },
        );
        for my $way (sort keys %way) {
            my $url = serves($person, $way{$way}->(), $picture, $type{$format},
                "$format, $way: served as sent, alone, and as $type{$format}");
            like($url, qr/\.$format\z/, "$format, $way: its name says what it is");
            if ($before) {
                is(request('GET', $before, %$at)->code, 404, "$format, $way: the one before it is gone");
                isnt($url, $before, "$format, $way: another URL than before");
            }
            $before = $url;
        }
    }
    is_profile(avatar('DELETE', $person, undef, %$at), {avatar_url => undef}, 'removed');
    is_deeply([files()], [], 'and the folder is empty');
    is(request('GET', $before, %$at)->code, 404, 'and it is not served any more');
};

subtest 'each user has one' => sub {
    my @people = map { person() } 1 .. 3;

    avatar('PUT', $_, png(), %$at) for @people, @people;
    is_deeply([files()], [sort map { user_row($_->{id})->{avatar_url} =~ s{.*/}{}r } @people],
        'three users, each with a second picture: three files');
    avatar('DELETE', $_, undef, %$at) for @people;
    is_deeply([files()], [], 'removed');
    is_deeply([journal()], [], 'an empty journal');
};

subtest 'what a picture tells of its maker' => sub {
    my $person = person();
    my $where = 'GPS 47.3769N 8.5417E Ada';

    for my $case (telling($where)) {
        isnt(index($case->{picture}, $where), -1, "$case->{name}: it tells");
        serves($person, avatar('PUT', $person, $case->{picture}, %$at), $case->{plain},
            $type{$case->{format}}, "$case->{name}: stored without it, and otherwise whole");
    }
    my $profile = with_segment(jpeg(), 0xe2, "ICC_PROFILE\0\1\1" . 'p' x 100);
    serves($person, avatar('PUT', $person, $profile, %$at), $profile, 'image/jpeg', 'a colour profile stays');
    avatar('DELETE', $person, undef, %$at);
};

subtest 'what is not ours is left alone' => sub {
    my %elsewhere = (
        'a social login' => 'https://lh3.googleusercontent.com/a/x',
        'another path' => '/pictures/00000000000000000000000000000000.png',
        'a file that is not ours' => '/avatars/logo.png',
        'out of the folder' => '/avatars/../00000000000000000000000000000000.png',
        'a path below' => '/avatars/x/00000000000000000000000000000000.png',
        'another type' => '/avatars/00000000000000000000000000000000.html',
        'a URL of a host' => 'https://example.com/avatars/00000000000000000000000000000000.png',
    );
    my @bait = ("$folder/logo.png", "$folder/00000000000000000000000000000000.html",
        "$folder/00000000000000000000000000000000.png", "$folder/../00000000000000000000000000000000.png");

    spew($_, 'bait') for @bait;
    for my $where (sort keys %elsewhere) {
        my $person = person(avatar_url => $elsewhere{$where});

        is_profile(avatar('PUT', $person, png(), %$at), {}, "$where: replaced");
        avatar('DELETE', $person, undef, %$at);
        is((grep { -e } @bait), @bait, "$where: no other file is touched");
        is_deeply([journal()], [], "$where: an empty journal");
    }
    my $person = person(avatar_url => '/avatars/00000000000000000000000000000000.png');
    avatar('DELETE', $person, undef, %$at);
    ok(!-e $bait[2], 'one of ours is deleted');
    unlink @bait;
    is_deeply([files()], [], 'nothing else is there');
};

subtest 'a hard deletion' => sub {
    my $person = person();

    my $url = json(avatar('PUT', $person, png(), %$at))->{avatar_url};
    is(me('DELETE', token => $person->{token}, %$at)->code, 200, 'a soft one');
    is(request('GET', $url, %$at)->code, 200, 'leaves the file');
    restore($person->{email});
    $person->{token} = token(sub => $person->{email});
    is(request('DELETE', "$ME?hard=true", token => $person->{token}, %$at)->code, 200, 'a hard one');
    is(request('GET', $url, %$at)->code, 404, 'takes it along');
    is_deeply([files()], [], 'the folder is empty');
    is_deeply([journal()], [], 'the journal is empty');
};

subtest 'a folder that fails' => sub {
    my $person = person(full_name => 'Ada');
    my $picture = png();
    my $url = json(avatar('PUT', $person, $picture, %$at))->{avatar_url};
    my $before = unchanged_row($person->{id});
    my $fails = sub {
        my ($name) = @_;
        my $mark = log_mark($node->{error_log});
        my $res = me('PATCH', token => $person->{token}, %$at,
            form => [part(png()), {name => 'full_name', body => 'Grace'}]);

        is_error($res, 502, 'STORAGE_UPLOAD_ERROR', $name);
        is(unchanged_row($person->{id}), $before, "$name: the row is as it was");
        is_deeply([journal()], [], "$name: an empty journal");
        unlike($res->content, qr/\Q$folder\E/, "$name: the answer shows no path");
        log_like($mark, qr/\Q$folder\E/, "$name: the log does", $node->{error_log});
    };

    rename $folder, "$folder.away" or die "$folder: $!\n";
    # The embedded configuration would make it anew.
    spew($folder, '') if embedded;
    $fails->('the folder is not there');
    is_profile(avatar('DELETE', $person, undef, %$at), {avatar_url => undef},
        'the folder is not there: removing the avatar succeeds');
    is_deeply([journal()], ["destroy $url"], 'and the file stays in the journal');
    unlink $folder if embedded;
    rename "$folder.away", $folder or die "$folder: $!\n";
    journal_clear();
    unlink "$folder/" . (files())[0];
    is_deeply([files()], [], 'the folder is empty');

    $before = unchanged_row($person->{id});
    chmod 0500, $folder;
    SKIP: {
        skip 'root can write everywhere', 5 if -w $folder;
        $fails->('the folder cannot be written');
    }
    chmod 0700, $folder;
    my $res = avatar('PUT', $person, $picture, %$at);
    serves($person, $res, $picture, 'image/png', 'and then a picture is taken again');
};

$node->stop;
done_testing();
