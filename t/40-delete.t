#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# An account is deleted, softly and for good: the rows that go and those that stay, the answer and its
# cookie, the sessions that end and those that do not, and what a token opens afterwards.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(time);
use UserProfile::Avatar;
use UserProfile::Test;

my @RELATED = qw(verification_tokens password_reset_tokens participants);
my $OK = '{"status":"ok","message":"Account has been successfully deleted."}';
my $COOKIE = 'refresh_token=; Max-Age=0; Path=/api/v1/auth; HttpOnly; Secure; SameSite=Strict';

redis('FLUSHALL');
storage('reset');
journal_clear();

sub delete_me {
    my ($person, $query, %option) = @_;

    return request('DELETE', $ME . ($query // ''), token => $person->{token}, %option);
}

# How many rows the three tables have of a user.
sub related {
    my ($person) = @_;

    return join ' ', map {
        db()->selectrow_array("SELECT count(*) FROM $_ WHERE user_id = ?", undef, $person->{id})
    } @RELATED;
}

# A person with rows in all tables, a picture and two refresh tokens.
sub resident {
    my (%column) = @_;
    my $person = person(full_name => 'Ada', %column);

    for my $table (@RELATED) {
        db()->do("INSERT INTO $table (user_id) VALUES (?)", undef, $person->{id}) for 1 .. 2;
    }
    redis('SET', "refresh_token:$person->{email}:$_", 1) for 'a', 'b';
    avatar('PUT', $person, png());
    return $person;
}

sub keys_like {
    my ($pattern) = @_;

    my @keys = sort(redis('KEYS', $pattern));
    return @keys;
}

sub is_deleted {
    my ($res, $name) = @_;
    my @cookies = $res->header('Set-Cookie');
    my @wrong;

    push @wrong, 'the status is ' . $res->code unless $res->code == 200;
    push @wrong, 'the body is ' . $res->content unless $res->content eq $OK;
    push @wrong, 'it is ' . $res->header('Content-Type') unless $res->header('Content-Type') eq 'application/json';
    push @wrong, "Set-Cookie is @cookies" unless "@cookies" eq $COOKIE;
    push @wrong, 'nosniff' unless ($res->header('X-Content-Type-Options') // '') eq 'nosniff';
    push @wrong, 'it has an ETag' if defined $res->header('ETag');
    push @wrong, 'the journal has ' . join ', ', journal() if journal();
    return ok(!@wrong, "$name: the answer, the cookie, an empty journal")
        || diag(map({ "  $_\n" } @wrong), $res->as_string);
}

subtest 'a soft deletion' => sub {
    for my $query ('', '?hard=false', '?hard=0', '?hard=FALSE', '?hard=False', '?', '?x=1',
        '?hard=%66alse', '?h%61rd=0&x') {
        my ($person, $other) = (resident(), resident());
        my ($jti, $exp) = ("jti-$person->{id}", int(time) + 500);
        my $name = "DELETE $query";
        my ($before, $theirs) = (user_row($person->{id}), unchanged_row($other->{id}));

        $person->{token} = token(sub => $person->{email}, jti => $jti, exp => $exp);
        is_deleted(delete_me($person, $query), $name);

        my $after = user_row($person->{id});
        ok($after, "$name: the row stays") or next;
        ok(defined $after->{deleted_at}, "$name: deleted_at is set");
        is($after->{deleted_at}, db()->selectrow_array('SELECT updated_at FROM users WHERE id = ?', undef,
            $person->{id}), "$name: updated_at is that time");
        ok(is_recent(deleted_at => $person->{id}), "$name: which is now");
        is($after->{is_active}, 0, "$name: is_active is false");
        delete @$_{qw(deleted_at updated_at is_active)} for $before, $after;
        is_deeply($after, $before, "$name: all other columns stay, the avatar among them");
        is(related($person), '2 2 2', "$name: so do the related rows");
        is((grep { $_ eq asset_of($after->{avatar_url}) } assets()), 1, "$name: and the asset");
        is_deeply([keys_like("refresh_token:$person->{email}:*")], [], "$name: the refresh tokens are gone");
        is(scalar(keys_like("refresh_token:$other->{email}:*")), 2, "$name: another's stay");
        is(unchanged_row($other->{id}), $theirs, "$name: and so does another's row");

        my $ttl = redis('TTL', "blacklisted_access_token:$jti");
        my $left = $exp - int time;
        cmp_ok($ttl, '>=', $left - 1, "$name: the token is blacklisted until it ends");
        cmp_ok($ttl, '<=', $left + 2, "$name: and not longer");
        is_error(me('GET', token => $person->{token}), 401, 'TOKEN_REVOKED', "$name: the same token afterwards");
        is_error(me('GET', token => token(sub => $person->{email})), 403, 'ACCOUNT_DELETED',
            "$name: another token afterwards");
        is_profile(me('GET', token => $other->{token}), {full_name => 'Ada'}, "$name: another user");
    }
    storage('reset');
};

subtest 'afterwards nothing is possible' => sub {
    my $person = resident();
    my $again = {%$person, token => token(sub => $person->{email})};

    is_deleted(delete_me($person), 'deleted');
    my $row = unchanged_row($person->{id});
    my $count = calls();
    for ([$person, 401, 'TOKEN_REVOKED'], [$again, 403, 'ACCOUNT_DELETED']) {
        my ($who, $status, $code) = @$_;

        is_error(me('GET', token => $who->{token}), $status, $code, "GET: $code");
        is_error(me('PATCH', token => $who->{token}, json => {full_name => 'x'}), $status, $code, "PATCH: $code");
        is_error(me('PATCH', token => $who->{token}, json => {}), $status, $code, "PATCH of nothing: $code");
        is_error(avatar('PUT', $who, png()), $status, $code, "PUT …/avatar: $code");
        is_error(avatar('DELETE', $who), $status, $code, "DELETE …/avatar: $code");
        my $res = delete_me($who);
        is_error($res, $status, $code, "DELETE again: $code");
        is($res->header('Set-Cookie'), undef, "DELETE again: no cookie");
        is_error(delete_me($who, '?hard=true'), $status, $code, "DELETE for good: $code");
        is_error(request('GET', '/guarded/', token => $who->{token}), $status, $code, "another place: $code");
    }
    is(unchanged_row($person->{id}), $row, 'the row is as it was');
    is(scalar(calls()), $count, 'the storage was not asked');
    is_deeply([journal()], [], 'an empty journal');
};

subtest 'an account is restored' => sub {
    my $person = resident();
    my $before = user_row($person->{id});

    is(restore($person->{email}), 0, 'an active account: nothing to restore');
    is_deeply(user_row($person->{id}), $before, 'and nothing changed');
    delete_me($person);
    is(restore("x$person->{email}"), 0, 'another email: nothing to restore');
    is_deeply([keys_like("refresh_token:$person->{email}:*")], [], 'its sessions are over');
    is(restore($person->{email}), 1, 'a deleted one is restored');
    is_deeply({%{user_row($person->{id})}, updated_at => ''}, {%$before, updated_at => ''},
        'its row is as before, but for updated_at');
    is(related($person), '2 2 2', 'and so are the rows that refer to it');
    is_deeply([keys_like("refresh_token:$person->{email}:*")], [], 'its sessions stay ended');
    is_error(me('GET', token => $person->{token}), 401, 'TOKEN_REVOKED', 'the old token stays revoked');
    is_profile(me('GET', token => token(sub => $person->{email})), {full_name => 'Ada', is_active =>
        JSON::PP::true, avatar_url => $before->{avatar_url}}, 'a new one opens it, as it was');
    is(restore($person->{email}), 0, 'and then there is nothing to restore');
    is_deeply([journal()], [], 'an empty journal');
    is(restore('%'), 0, 'an email is no pattern');

    my $inactive = person(is_active => 0);
    is(restore($inactive->{email}), 0, 'who is deactivated');
    is(user_row($inactive->{id})->{is_active}, 0, 'stays so');
    return if embedded();

    servers->query('fluentmeet', 'CREATE ROLE somebody LOGIN; GRANT ALL ON users TO somebody');
    ok(!eval { servers->cluster->psql('somebody', 'fluentmeet', '-c', "SELECT userprofile_restore('x')"); 1 },
        'another role may not');
    like($@, qr/permission denied for function userprofile_restore/, 'as it was not granted');
    servers->query('fluentmeet', 'DROP OWNED BY somebody; DROP ROLE somebody');
};

subtest 'for good' => sub {
    for my $query ('?hard=true', '?hard=1', '?hard=TRUE', '?hard=True', '?x=y&hard=true',
        '?hard=%74rue', '?%68ard=1') {
        my ($person, $other) = (resident(), resident());
        my ($jti, $name) = ("jti-$person->{id}", "DELETE $query");
        my $asset = asset_of(user_row($person->{id})->{avatar_url});
        my $theirs = unchanged_row($other->{id});

        $person->{token} = token(sub => $person->{email}, jti => $jti);
        is(related($person), '2 2 2', "$name: rows before");
        is_deleted(delete_me($person, $query), $name);
        is(user_row($person->{id}), undef, "$name: the row is gone");
        is(related($person), '0 0 0', "$name: and so are the related ones");
        is_deeply([grep { $_ eq $asset } assets()], [], "$name: and the asset");
        is_deeply([keys_like("refresh_token:$person->{email}:*")], [], "$name: and the refresh tokens");
        ok(redis('TTL', "blacklisted_access_token:$jti") > 800, "$name: the token is blacklisted");
        is_error(me('GET', token => $person->{token}), 401, 'TOKEN_REVOKED', "$name: the same token afterwards");
        is_error(delete_me($person, $query), 401, 'TOKEN_REVOKED', "$name: the same DELETE");
        is_error(me('GET', token => token(sub => $person->{email})), 401, 'INVALID_CREDENTIALS',
            "$name: another token afterwards");
        is(unchanged_row($other->{id}), $theirs, "$name: another's row stays");
        is(related($other), '2 2 2', "$name: and the related ones");
        is(scalar(keys_like("refresh_token:$other->{email}:*")), 2, "$name: and the refresh tokens");
        is_profile(me('GET', token => $other->{token}), {full_name => 'Ada'}, "$name: and the token");
        is((grep { $_ eq asset_of(user_row($other->{id})->{avatar_url}) } assets()), 1, "$name: and the asset");
    }
    storage('reset');
    my $person = person(avatar_url => 'https://lh3.googleusercontent.com/a/x');
    is_deleted(delete_me($person, '?hard=true'), 'an avatar that points elsewhere');
    is_deeply([calls()], [], 'is left alone');
    is_deleted(delete_me(person(), '?hard=true'), 'no avatar, no related rows');
    is_deeply([calls()], [], 'the storage is not asked');
};

subtest 'the email is free again' => sub {
    my $person = resident();

    delete_me($person, '?hard=true');
    my $new = person(email => $person->{email}, full_name => 'Another');
    is_profile(me('GET', token => $new->{token}), {id => $new->{id}, full_name => 'Another'}, 'a new account of it');
    redis('SET', "refresh_token:$new->{email}:new", 1);
    is_error(delete_me($person), 401, 'TOKEN_REVOKED', 'the old token cannot delete it');
    is_error(delete_me($person, '?hard=true'), 401, 'TOKEN_REVOKED', 'nor for good');
    is(user_row($new->{id})->{deleted_at}, undef, 'it is there');
    is(redis('EXISTS', "refresh_token:$new->{email}:new"), 1, 'with its session');
};

subtest 'values of hard' => sub {
    my $person = resident();
    my $row = unchanged_row($person->{id});
    my @bad = ('?hard', '?hard=', '?hard=yes', '?hard=2', '?hard=on', '?hard=true%20', '?hard=+true', '?hard=tru',
        '?hard=truee', '?hard=01', '?hard=-1', '?hard=null', '?hard=true&hard=true', '?hard=false&hard=true',
        '?hard=true&hard=false', '?hard&hard=true', '?hard=true&x=1&h%61rd=true', '?hard=%00', '?hard=true%00',
        '?hard=%zz', '?hard=%', '?hard=true;', '?hard==true', "?hard=tr\x{c3}\x{bc}e", '?hard=' . 'x' x 5000);

    storage('reset');
    for my $query (@bad) {
        my $name = length $query > 50 ? substr($query, 0, 20) . '…' : $query;
        my $res = delete_me($person, $query);

        is_error($res, 400, 'VALIDATION_ERROR', $name, fields => {hard => 'VALIDATION_ERROR'});
        is($res->header('Set-Cookie'), undef, "$name: no cookie");
        is(unchanged_row($person->{id}), $row, "$name: the row is as it was");
    }
    is(related($person), '2 2 2', 'the related rows are there');
    is(scalar(keys_like("refresh_token:$person->{email}:*")), 2, 'and the refresh tokens');
    is_deeply([calls()], [], 'the storage was not asked');
    is_deeply([journal()], [], 'an empty journal');
    is_profile(me('GET', token => $person->{token}), {full_name => 'Ada'}, 'the token opens the account');

    # Other names are not it.
    is_deleted(delete_me(resident(), '?Hard=true&xhard=1&hard[]=1'), '?Hard=true&xhard=1&hard[]=1');
};

subtest 'who may not' => sub {
    my $stale = '"00000000000000000000000000000000"';

    for my $query ('', '?hard=true') {
        my ($person, $inactive) = (resident(), resident());
        db()->do('UPDATE users SET is_active = false WHERE id = ?', undef, $inactive->{id});
        my $tag = me('GET', token => $person->{token})->header('ETag');
        my @case = (
            ['a deactivated account', $inactive, {}, 403, 'ACCOUNT_DEACTIVATED'],
            ['a stale If-Match', $person, {'If-Match' => $stale}, 412, 'PRECONDITION_FAILED'],
            ['a weak If-Match', $person, {'If-Match' => "W/$tag"}, 412, 'PRECONDITION_FAILED'],
            ['an unknown account', {token => token(sub => 'nobody@example.com'), id => 0}, {}, 401,
                'INVALID_CREDENTIALS'],
        );
        for my $case (@case) {
            my ($name, $who, $headers, $status, $code) = @$case;
            my $row = unchanged_row($who->{id});
            my $res = delete_me($who, $query, headers => $headers);

            is_error($res, $status, $code, "DELETE $query: $name");
            is($res->header('Set-Cookie'), undef, "DELETE $query: $name: no cookie");
            is(unchanged_row($who->{id}), $row, "DELETE $query: $name: the row is as it was");
            is(related($who), $who->{id} ? '2 2 2' : '0 0 0', "DELETE $query: $name: and the related ones");
        }
        is(scalar(keys_like("refresh_token:$person->{email}:*")), 2, 'and the refresh tokens');
        is_deeply([journal()], [], 'an empty journal');
        is_profile(me('GET', token => $person->{token}), {full_name => 'Ada'}, 'and the token');
        is_deleted(delete_me($person, $query, headers => {'If-Match' => "\"x\", $tag"}),
            "DELETE $query: If-Match with the tag");
    }
    is_error(request('DELETE', $ME), 401, 'MISSING_TOKEN', 'no token');
};

subtest 'the same DELETE, twice at once' => sub {
    for my $query ('', '?hard=true') {
        for my $round (1 .. 5) {
            my $person = resident();
            my @answers = map { end_request($_) } map {
                begin_request('DELETE', $ME . $query, token => $person->{token})
            } 1 .. 2;
            my @refused = grep { $_->code != 200 } @answers;

            is(@refused, 1, "DELETE $query: one of the two is refused");
            like(join(' ', map { json($_)->{code} } @refused),
                $query ? qr/^(?:TOKEN_REVOKED|INVALID_CREDENTIALS)$/ : qr/^(?:TOKEN_REVOKED|ACCOUNT_DELETED)$/,
                "DELETE $query: as the account is gone");
            is_deeply([journal()], [], "DELETE $query: an empty journal");
        }
    }
};

# Whichever is first, the other finds an account that is gone; the row goes with the erasure only.
subtest 'a DELETE and an erasure at once, of an account with sessions and a picture' => sub {
    my %first;

    for my $round (1 .. 12) {
        my $person = resident();
        my @tokens = map { token(sub => $person->{email}) } 1 .. 2;
        my @queries = $round % 2 ? ('', '?hard=true') : ('?hard=true', '');
        my $picture = asset_of(json(avatar('PUT', $person, png()))->{avatar_url});
        my @answers = map { end_request($_) } map {
            begin_request('DELETE', $ME . $queries[$_], token => $tokens[$_])
        } 0, 1;
        my ($done, @more) = grep { $answers[$_]->code == 200 } 0, 1;

        is(@more, 0, "round $round: one of the two is refused") or next;
        my $erased = $queries[$done] ne '';
        $first{$queries[$done]}++;
        is_error($answers[1 - $done], $erased ? (401, 'INVALID_CREDENTIALS') : (403, 'ACCOUNT_DELETED'),
            "round $round: as the account is gone");
        is(user_row($person->{id}) ? 1 : 0, $erased ? 0 : 1, "round $round: the row is there, or not, as the first has it");
        is(related($person), $erased ? '0 0 0' : '2 2 2', "round $round: and so are its related rows");
        is(scalar(grep { $_ eq $picture } assets()), $erased ? 0 : 1, "round $round: and its picture");
        is_deeply([keys_like("refresh_token:$person->{email}:*")], [], "round $round: no session is left");
        is_deeply([journal()], [], "round $round: an empty journal");
    }
    note explain \%first;
};

subtest 'an email is data, never a glob' => sub {
    my @globs = ('a*b@x.org', '*', '*@x.org', 'a?b@x.org', '[ab]@x.org', '[^a]@x.org', '[a-z]@x.org', 'a\\*b@x.org',
        'a\\@x.org', '\\', '^a@x.org', '%s%n@x.org', "o'hara\@x.org", 'a"b@x.org', "a b\@x.org", "\x{fc}\@x.org");
    my @bystanders = ('aXb@x.org', 'a*b@x.orgX', 'Xa*b@x.org', 'a@x.org', 'b@x.org', 'aab@x.org', 'a\\Xb@x.org', 'x');
    my %all = map { $_ => 1 } @globs, @bystanders;

    for my $query ('', '?hard=true') {
        redis('FLUSHALL');
        for my $email (sort keys %all) {
            utf8::encode(my $bytes = $email);
            redis('SET', "refresh_token:$bytes:$_", 1) for 1 .. 3;
        }
        redis('SET', $_, 1) for 'refresh_token:', 'refresh_token', 'refresh_tokenX', 'other:a*b@x.org:1';
        my $count = redis('DBSIZE');
        for my $email (@globs) {
            utf8::encode(my $bytes = $email);
            my $person = person(email => $email);
            is(delete_me($person, $query)->code, 200, "DELETE $query of $bytes");
            is(redis('EXISTS', map { "refresh_token:$bytes:$_" } 1 .. 3), 0, "$bytes: its three are gone");
            # Three less, and the token's own entry.
            $count += 1 - 3;
            is(redis('DBSIZE'), $count, "$bytes: and no other");
            db()->do('DELETE FROM users WHERE id = ?', undef, $person->{id});
        }
    }
    redis('FLUSHALL');
};

subtest 'a jti is data too' => sub {
    for my $jti ('%s%n%b', 'a b', 'a*', '"', "\x{fc}", 'x' x 200) {
        my $person = person();
        my $token = token(sub => $person->{email}, jti => $jti);
        utf8::encode(my $bytes = $jti);

        is(delete_me({token => $token})->code, 200, 'deleted with jti ' . $bytes =~ s/\W/./gr);
        is(redis('EXISTS', "blacklisted_access_token:$bytes"), 1, 'its key is there');
        is_error(me('GET', token => $token), 401, 'TOKEN_REVOKED', 'and the token is revoked');
    }
    is(redis('EXISTS', 'x'), 0, 'no other key');
};

# Rows that go in one transaction: each table notes in which.
subtest 'one transaction' => sub {
    plan skip_all => "Postgres tells transactions by their numbers" if embedded;
    my @tables = ('users', @RELATED);

    db()->do('SET client_min_messages = warning');
    db()->do('CREATE TABLE seen (name text, xid bigint)');
    db()->do('GRANT ALL ON seen TO PUBLIC');
    db()->do('CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO seen VALUES (TG_TABLE_NAME, txid_current()); RETURN NULL; END $$');
    db()->do("CREATE TRIGGER see AFTER DELETE ON $_ FOR EACH ROW EXECUTE FUNCTION see()") for @tables;
    db()->do('CREATE TRIGGER see AFTER INSERT ON userprofile_journal FOR EACH ROW EXECUTE FUNCTION see()');
    my $person = resident();
    db()->do('DELETE FROM seen');
    is_deleted(delete_me($person, '?hard=true'), 'erased');
    my $xids = db()->selectcol_arrayref('SELECT DISTINCT xid FROM seen');
    my $rows = db()->selectall_arrayref('SELECT name, count(*) FROM seen GROUP BY name ORDER BY name');
    is(@$xids, 1, 'rows and journal: one transaction');
    is_deeply({map { @$_ } @$rows}, {users => 1, userprofile_journal => 3, map { $_ => 2 } @RELATED}, 'all of them');
    db()->do('DROP FUNCTION see() CASCADE');
    db()->do('DROP TABLE seen');
};

# Nothing goes, and again nothing.
subtest 'a table that nobody has told the module of' => sub {
    db()->do('CREATE TABLE invoices (user_id bigint REFERENCES users (id))');
    my $person = resident();
    db()->do('INSERT INTO invoices VALUES (?)', undef, $person->{id});
    my ($row, $mark) = (unchanged_row($person->{id}), log_mark());
    for my $time (1 .. 6) {
        my $res = delete_me($person, '?hard=true');
        is_error($res, 500, 'INTERNAL_ERROR', "a row that refers to the user, time $time: refused");
        unlike($res->content, qr/invoices|foreign|SQL/i, 'the answer says nothing of it');
        is(unchanged_row($person->{id}), $row, 'the row stays');
        is(related($person), '2 2 2', 'and the related ones');
    }
    is(scalar(keys_like("refresh_token:$person->{email}:*")), 2, 'and the refresh tokens');
    is_deeply([journal()], [], 'an empty journal');
    log_like($mark, embedded ? qr/erase a user: FOREIGN KEY constraint failed \(SQLite error 787\)/
        : qr/erase a user: .*"invoices".*SQLSTATE 23503/, 'the log says which table');
    log_unlike($mark, qr/SQLSTATE 42/, 'each time');
    db()->do('DROP TABLE invoices');
    is_deleted(delete_me($person, '?hard=true'), 'and then it is erased');
};

subtest 'UserProfileAnonymise' => sub {
    # SQLite has one schema, which is called main.
    my $schema = embedded ? 'main' : 'meetings';
    my $id = embedded ? 'integer PRIMARY KEY' : 'bigint GENERATED ALWAYS AS IDENTITY';
    db()->do('CREATE SCHEMA meetings') unless embedded;
    db()->do("CREATE TABLE transcripts (id $id, user_id bigint REFERENCES users (id),
        speaker text, \"Spoken Words\" text, room bigint)");
    db()->do("CREATE TABLE $schema.captions (author bigint REFERENCES users (id), name text)");
    db()->do($_) for embedded ? () : ('GRANT ALL ON transcripts, meetings.captions TO PUBLIC',
        'GRANT USAGE ON SCHEMA meetings TO PUBLIC');
    my $node = node(conf => contract() . <<"CONF")->start;
UserProfileAnonymise transcripts user_id user_id "speaker=It's \\"nobody\\"; -- \\\\" "Spoken Words"
UserProfileAnonymise $schema.captions author author name=
CONF
    my $at = {port => $node->{port}};
    my ($person, $other) = (resident(), resident());
    for my $who ($person, $other) {
        db()->do('INSERT INTO transcripts (user_id, speaker, "Spoken Words", room) VALUES (?, ?, ?, 7)', undef,
            $who->{id}, 'Ada', $_) for 'one', 'two';
        db()->do("INSERT INTO $schema.captions VALUES (?, ?)", undef, $who->{id}, 'Ada');
    }
    is_deleted(delete_me($person, '', %$at), 'a soft deletion');
    is(db()->selectrow_array('SELECT count(*) FROM transcripts WHERE user_id = ?', undef, $person->{id}), 2,
        'leaves them');
    restore($person->{email});
    $person->{token} = token(sub => $person->{email});
    is_deleted(delete_me($person, '?hard=true', %$at), 'an erasure');
    is(user_row($person->{id}), undef, 'the row is gone');
    is(related($person), '0 0 0', 'and those of the tables that are erased');
    is_deeply(db()->selectall_arrayref('SELECT user_id, speaker, "Spoken Words", room FROM transcripts ORDER BY id'),
        [([undef, q(It's "nobody"; -- \\), undef, 7]) x 2,
            map { [$other->{id}, 'Ada', $_, 7] } 'one', 'two'],
        'the columns that are named are anonymised, in the rows of this user alone');
    is_deeply(db()->selectall_arrayref("SELECT author, name FROM $schema.captions ORDER BY author NULLS LAST"),
        [[$other->{id}, 'Ada'], [undef, '']], 'in another schema too; = is an empty text');
    $node->stop;
    db()->do("DROP TABLE $_") for 'transcripts', "$schema.captions";
    db()->do('DROP SCHEMA meetings') unless embedded;
};

subtest 'leeway' => sub {
    my $node = node(conf => contract() . "UserProfileTokenLeeway 60\n")->start;

    for my $case (['half a minute after its end', -30, 30], ['before its end', 100, 160]) {
        my ($name, $life, $ttl) = @$case;
        my $person = person();
        my $token = token(sub => $person->{email}, jti => "leeway$life", exp => int(time) + $life);

        is(delete_me({token => $token}, '', port => $node->{port})->code, 200, "$name: deleted");
        my $left = redis('TTL', "blacklisted_access_token:leeway$life");
        ok($left > $ttl - 10 && $left <= $ttl + 1, "$name: blacklisted until the leeway is over") or diag $left;
        is_error(me('GET', token => $token, port => $node->{port}), 401, 'TOKEN_REVOKED', "$name: and revoked");
    }
    my $person = person();
    ok(delete_me({token => token(sub => $person->{email}, jti => 'far', exp => 99999999999)})->code == 200,
        'a token of thousands of years');
    ok(redis('TTL', 'blacklisted_access_token:far') > 1_000_000_000, 'is blacklisted all along');
    $node->stop;
};

# A row that refers to the account, made by another at the same time.
subtest 'a related row meanwhile' => sub {
    plan skip_all => 'SQLite has one writer at a time' if embedded;
    my $insert = 'INSERT INTO participants (user_id) VALUES (?)';
    my $other = db()->clone;
    my $waits = sub {
        wait_for(5, sub {
            db()->selectrow_array(q(SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'
                AND usename = ?), undef, servers->{role});
        });
    };
    my $erase = sub {
        my ($who, @more) = @_;
        return begin_request('DELETE', "$ME?hard=true", token => $who->{token}, @more);
    };

    my $person = resident();
    $other->begin_work;
    $other->do($insert, undef, $person->{id});
    my $request = $erase->($person);
    ok($waits->(), 'the erasure waits for who has inserted one');
    $other->commit;
    is_deleted(end_request($request), 'who commits: erased');
    is(related($person), '0 0 0', 'with that row');
    is(user_row($person->{id}), undef, 'and the user');

    $person = resident();
    $other->begin_work;
    $other->do($insert, undef, $person->{id});
    my $row = unchanged_row($person->{id});
    # Again and again, so that each connection has met it.
    my $node = node(conf => contract() . "UserProfileTimeout statement=400ms\n")->start;
    for my $time (1 .. 4) {
        my @requests = map { $erase->($person, port => $node->{port}) } 1 .. 3;
        is_error(end_request($_), 503, 'SERVICE_UNAVAILABLE', "who does not commit in time: refused, time $time")
            for @requests;
    }
    $node->stop;
    is(unchanged_row($person->{id}), $row, 'the row stays');
    is(related($person), '2 2 2', 'and the related ones');
    is(scalar(keys_like("refresh_token:$person->{email}:*")), 2, 'and the refresh tokens');
    is_deeply([journal()], [], 'an empty journal');
    $other->rollback;
    is_deleted(end_request($erase->($person)), 'afterwards: erased');
    is(related($person), '0 0 0', 'with all rows');

    my ($late, $refused) = (0, 0);
    for my $round (1 .. 10) {
        $person = resident();
        my $request = $erase->($person);
        my $inserted = 0;
        until (is_answered($request)) {
            eval { $other->do($insert, undef, $person->{id}); $inserted++ } or $refused++;
        }
        is(end_request($request)->code, 200, "round $round: erased amid inserts");
        is(related($person), '0 0 0', "round $round: no orphan");
        ok(!eval { $other->do($insert, undef, $person->{id}); 1 }, "round $round: and none can be made");
        $late += $inserted;
    }
    ok($late + $refused > 0, "there were inserts: $late before it, $refused too late");
    $other->disconnect;
};

storage('reset');
done_testing();
