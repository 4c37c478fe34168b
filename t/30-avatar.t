#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# An avatar is set and removed, in each way there is: the storage has its pixels as they were sent, the row
# points at it, the one before it is gone, in the contract's order, and the journal is empty.
use strict;
use warnings;
use Test::More;
use UserProfile::Avatar;
use UserProfile::Picture qw(telling);
use UserProfile::Test;

storage('reset');
journal_clear();

my $folder = 'avatars';

# One check of what is left behind: the answer, the row, the storage and the journal say the same.
sub holds {
    my ($person, $res, $picture, $name) = @_;
    my $url = (json($res) // {})->{avatar_url};
    my $asset = asset_of($url);
    my @wrong;

    push @wrong, 'the status is ' . $res->code unless $res->code == 200;
    push @wrong, 'avatar_url is ' . ($url // 'null') unless defined $asset;
    push @wrong, 'the row has ' . (user_row($person->{id})->{avatar_url} // 'NULL')
        unless (user_row($person->{id})->{avatar_url} // '') eq ($url // '?');
    push @wrong, 'the assets are ' . join ', ', assets() unless join(',', assets()) eq ($asset // '?');
    push @wrong, 'its bytes differ' if defined $asset && delivered($asset) ne $picture;
    push @wrong, 'the journal has ' . join ', ', journal() if journal();
    ok(!@wrong, $name) or diag(map({ "  $_\n" } @wrong), $res->as_string);
    return $asset;
}

subtest 'each way to send it' => sub {
    my $person = person();
    my %way = (
        'PATCH, multipart' => sub { me('PATCH', token => $person->{token}, form => [part($_[0])]) },
        'PUT …/avatar, multipart' => sub { avatar('PUT', $person, undef, form => [part($_[0])]) },
        'POST …/avatar, multipart' => sub { avatar('POST', $person, undef, form => [part($_[0])]) },
        map({ my $type = $_;
              ("PUT …/avatar, $type" => sub { avatar('PUT', $person, $_[0], type => $type) },
               "POST …/avatar, $type" => sub { avatar('POST', $person, $_[0], type => $type) })
        } 'image/png', 'image/jpeg', 'image/svg+xml', 'IMAGE/X', 'image/png; charset=x',
            'application/octet-stream'),
    );
    my $before;

    for my $way (sort keys %way) {
        my $picture = png();
        my $res = $way{$way}->($picture);
        my $asset = holds($person, $res, $picture, "$way: stored, and the one before it is gone");

        is_profile($res, {id => $person->{id}, email => $person->{email}}, "$way: the whole profile");
        isnt($asset, $before, "$way: an asset of its own");
        $before = $asset;
    }
    like($before, qr{^$folder/[0-9a-f]{32}\z}, 'a public ID in the folder that nobody can guess');
    is_profile(me('GET', token => $person->{token}),
        {avatar_url => user_row($person->{id})->{avatar_url}}, 'GET: the same URL');
};

subtest 'what it is shows in its content' => sub {
    my $person = person();
    my %picture = (jpg => jpeg(), png => png(), webp => webp());

    storage('reset');
    for my $format (sort keys %picture) {
        my $picture = $picture{$format};
        my $res = avatar('PUT', $person, undef, form => [part($picture,
            filename => '../../x.html', type => 'text/html')]);
        my $asset = holds($person, $res, $picture, "$format as text/html in a part: taken");
        like(json($res)->{avatar_url}, qr/\.$format\z/, "$format: its URL says so");
        unlike(json($res)->{avatar_url}, qr/html|\.\./, "$format: nothing of the client's name");
        holds($person, avatar('PUT', $person, $picture, type => 'image/gif'), $picture,
            "$format as image/gif: taken");
        holds($person, me('PATCH', token => $person->{token}, form => [part($picture,
            filename => undef, type => undef)]), $picture, "$format in a part without name and type: taken");
    }
    my %told = map { $_->{file_type} => 1 } grep { $_->{action} eq 'upload' }
        @{storage('requests')->{requests}};
    is_deeply([sort keys %told], [qw(image/jpeg image/png image/webp)],
        'the storage is told what it is, not what the client says');
};

subtest 'what a picture tells of its maker' => sub {
    my $person = person();
    my $where = 'GPS 47.3769N 8.5417E Ada';

    storage('reset');
    for my $case (telling($where)) {
        my $asset = holds($person, avatar('PUT', $person, $case->{picture}), $case->{plain},
            "$case->{name}: uploaded without it, and otherwise whole");
        unlike(delivered($asset), qr/GPS|Ada/, "$case->{name}: the storage has no word of it");
    }
    my $case = (telling($where))[0];
    holds($person, me('PATCH', token => $person->{token}, form => [part($case->{picture})]),
        $case->{plain}, 'in a form too');
};

subtest 'the corpus' => sub {
    my $dir = corpora('images') or plan skip_all => 'no corpora: set UP_CORPORA';
    my $person = person();

    storage('reset');
    for my $file (grep { -s $_ <= 5 * 1024 * 1024 } glob "$dir/*.jpg $dir/*.png $dir/*.webp") {
        my $picture = slurp($file);
        holds($person, avatar('PUT', $person, $picture), $picture, $file =~ s{.*/}{}r);
    }
};

subtest 'with text, in one PATCH' => sub {
    my $person = person(full_name => 'Ada', speaking_language => 'en');
    my $picture = png();

    storage('reset');
    my $res = me('PATCH', token => $person->{token}, form => [
        {name => 'full_name', body => ' Grace Hopper '}, part($picture),
        {name => 'speaking_language', body => 'de-at'}, {name => 'nothing', body => 'of ours'}]);
    holds($person, $res, $picture, 'the picture');
    is_profile($res, {full_name => 'Grace Hopper', speaking_language => 'de-AT',
        listening_language => 'en'}, 'and the text');
    is(user_row($person->{id})->{full_name}, 'Grace Hopper', 'in the row too');

    my $asset = (assets())[0];
    $res = me('PATCH', token => $person->{token}, form => [{name => 'full_name', body => ''}]);
    is_profile($res, {full_name => undef}, 'text alone');
    is((assets())[0], $asset, 'text alone: the picture stays');
    $res = me('PATCH', token => $person->{token}, json => {avatar_url => 'https://example.com/x.png'});
    is(asset_of(json($res)->{avatar_url}), $asset, 'JSON cannot set avatar_url');
    $res = me('PATCH', token => $person->{token},
        form => [{name => 'avatar_url', body => 'https://example.com/x.png'}]);
    is(asset_of(json($res)->{avatar_url}), $asset, 'nor can a part avatar_url');
    is_deeply([journal()], [], 'the journal is empty');
};

subtest 'no avatar in an avatar part' => sub {
    my $person = person();
    my $picture = png();
    my %empty = (
        'filename=""' => part('', filename => '', type => 'application/octet-stream'),
        'no filename' => part('', filename => undef, type => undef),
    );

    storage('reset');
    holds($person, avatar('PUT', $person, $picture), $picture, 'a picture');
    for my $kind (sort keys %empty) {
        for my $order ('before', 'after') {
            my $name = "$kind $order " . rand;
            my @parts = ($empty{$kind}, {name => 'full_name', body => $name});
            my $res = me('PATCH', token => $person->{token},
                form => [$order eq 'before' ? @parts : reverse @parts]);
            is_profile($res, {full_name => $name}, "$kind and no bytes $order a text: the text is written");
            holds($person, $res, $picture, "$kind $order a text: the picture stays");
        }
        my $res = me('PATCH', token => $person->{token}, form => [$empty{$kind},
            {name => 'other', filename => 'other.txt', type => 'text/plain', body => 'x'}]);
        holds($person, $res, $picture, "$kind before another file: the picture stays");
    }
    is(scalar(calls()), 1, 'the storage was asked once');
};

subtest 'DELETE …/avatar' => sub {
    my $person = person(full_name => 'Ada');

    storage('reset');
    my $res = avatar('DELETE', $person);
    is_profile($res, {avatar_url => undef, full_name => 'Ada'}, 'where there is none: the profile');
    is_deeply([calls()], [], 'where there is none: the storage is not asked');
    is_deeply([journal()], [], 'where there is none: an empty journal');
    my $tag = $res->header('ETag');
    is(avatar('DELETE', $person)->header('ETag'), $tag, 'where there is none: the ETag stays');

    avatar('PUT', $person, png());
    my ($asset) = assets();
    $res = avatar('DELETE', $person);
    is_profile($res, {avatar_url => undef, full_name => 'Ada'}, 'where there is one: the profile without');
    is(user_row($person->{id})->{avatar_url}, undef, 'the row has none');
    is((calls())[-1], "destroy $asset", 'the asset is destroyed');
    is_deeply([assets()], [], 'no asset is left');
    is_deeply([journal()], [], 'the journal is empty');
    is($res->header('ETag'), $tag, 'without it the profile is what it was');
};

subtest 'the order' => sub {
    my $person = person();

    storage('reset');
    avatar('PUT', $person, png());
    my $old = user_row($person->{id})->{avatar_url};

    storage_fault('slow', on => 'upload', seconds => 2);
    my $request = begin_request('PATCH', $ME, token => $person->{token},
        form => [part(my $picture = png()), {name => 'full_name', body => 'Grace'}]);
    ok(wait_for(10, sub { assets() == 2 }), 'while the new asset is uploaded');
    is(user_row($person->{id})->{avatar_url}, $old, 'the row still has the old one');
    is(user_row($person->{id})->{full_name}, undef, 'and the old text');
    like(join(',', journal()), qr{^upload $folder/\w+\z}, 'its upload is announced');
    is_profile(me('GET', token => $person->{token}), {avatar_url => $old}, 'GET answers with the old one');
    storage_fault('slow', on => 'destroy', seconds => 2);

    ok(wait_for(10, sub { (calls())[-1] =~ /^destroy/ }), 'while the old asset is deleted');
    ok(!is_answered($request), 'there is no answer yet');
    is(user_row($person->{id})->{avatar_url}, undef, 'the row has none');
    is(user_row($person->{id})->{full_name}, 'Grace', 'and the new text');
    my ($new) = assets();
    my @new = grep { $_ ne asset_of($old) } assets();
    is_deeply([map { s{ https://\S+/($folder/\w+)\.png}{ at $1}r } journal()],
        ["upload $new", "publish $new at $new", 'destroy at ' . asset_of($old)],
        'all that is left to do is in the journal');
    is_deeply(\@new, [$new], 'the new asset is there, and no other');
    is_profile(me('GET', token => $person->{token}), {avatar_url => undef}, 'GET answers without one');

    my $res = end_request($request);
    holds($person, $res, $picture, 'then the URL is set');
    is_deeply([map { (split)[0] } calls()], [qw(upload upload destroy)], 'the storage has seen that order');
};

subtest 'what is not ours is left alone' => sub {
    my $clouds = 'https://res.cloudinary.com';
    my $file = '0123456789abcdef0123456789abcdef.png';
    my %elsewhere = (
        'a social login' => 'https://lh3.googleusercontent.com/a/AAcHTtd=s96-c',
        'another cloud' => "$clouds/other/image/upload/v1/$folder/$file",
        'another folder' => "$clouds/demo/image/upload/v1/banners/$file",
        'a folder that begins alike' => "$clouds/demo/image/upload/v1/${folder}2/$file",
        'a folder below another' => "$clouds/demo/image/upload/v1/x/$folder/$file",
        'out of the folder' => "$clouds/demo/image/upload/v1/$folder/../banners/$file",
        'a host that begins alike' => "$clouds.example.org/demo/image/upload/v1/$folder/$file",
        'no URL' => 'none',
        'nothing' => '',
    );

    for my $where (sort keys %elsewhere) {
        my $person = person(avatar_url => $elsewhere{$where});
        my $picture = png();

        storage('reset');
        holds($person, avatar('PUT', $person, $picture), $picture, "$where: replaced");
        is_deeply([map { (split)[0] } calls()], ['upload'], "$where: nothing is destroyed");

        $person = person(avatar_url => $elsewhere{$where});
        storage('reset');
        is_profile(avatar('DELETE', $person), {avatar_url => undef}, "$where: removed");
        is_deeply([calls()], [], "$where: nothing is destroyed");
        is_deeply([journal()], [], "$where: an empty journal");
    }
};

subtest 'an asset of ours that is gone already' => sub {
    my $person = person(avatar_url => "https://res.cloudinary.com/demo/image/upload/v1/$folder/gone.png");
    my $picture = png();

    storage('reset');
    holds($person, avatar('PUT', $person, $picture), $picture, 'is no obstacle');
    is((calls())[-1], "destroy $folder/gone", 'it was to be destroyed');
};

subtest 'If-Match' => sub {
    my $person = person();
    my $tag = sub { me('GET', token => $person->{token})->header('ETag') };
    my $set = sub { avatar('PUT', $person, $_[1], headers => {'If-Match' => $_[0]}) };
    my @match = (
        ['the tag' => sub { $tag->() }],
        ['*' => sub { '*' }],
        ['a list with it' => sub { '"x", W/"y", ' . $tag->() }],
        ['the suffix of mod_deflate' => sub { $tag->() =~ s/"\z/-gzip"/r }],
    );

    storage('reset');
    for my $case (@match) {
        my ($name, $match) = @$case;
        my $picture = png();
        my $before = $tag->();
        my $res = $set->($match->(), $picture);

        holds($person, $res, $picture, "$name: set");
        isnt($res->header('ETag'), $before, "$name: another ETag than before");
        is($res->header('ETag'), $tag->(), "$name: the ETag that GET gives");
        is($tag->(), $res->header('ETag'), "$name: and gives again");
    }
    is_profile(avatar('DELETE', $person, undef, headers => {'If-Match' => $tag->()}),
        {avatar_url => undef}, 'DELETE with the tag');
    is_deeply([assets()], [], 'DELETE with the tag: the asset is gone');
    is_profile(me('PATCH', token => $person->{token}, headers => {'If-Match' => $tag->()},
        form => [part(png()), {name => 'full_name', body => 'Ada'}]), {full_name => 'Ada'}, 'PATCH with the tag');
};

done_testing();
