# SPDX-License-Identifier: Apache-2.0
package UserProfile::Embedded;

=head1 NAME

UserProfile::Embedded - the SQLite database of the embedded stack, as the tests see it

=head1 DESCRIPTION

A test whose environment has C<UP_STACK=embedded> is about conf/embedded.conf. t/TEST makes a
program t/embedded/NAME.t for each t/NAME.t that is about the contract and not about a server, and
runs both. UserProfile::Test then has the handle of SQLite in the place of that of Postgres, and
keeps tokens in its tables where it would in Redis: the keys are those that Redis has.

=cut

use strict;
use warnings;
use DBI ();

# A DBI handle (AutoCommit, RaiseError) of the database in this folder. Beside SQLite's own
# functions it has Postgres' now().
sub connect {
    my ($class, $folder) = @_;
    my $handle = DBI->connect("dbi:SQLite:dbname=$folder/userprofile.db", '', '',
        {RaiseError => 1, PrintError => 0, AutoCommit => 1, sqlite_unicode => 1});

    $handle->sqlite_busy_timeout(20_000);
    $handle->do('PRAGMA foreign_keys = ON');
    $handle->sqlite_create_function('now', 0,
        sub { $handle->selectrow_array("SELECT strftime('%Y-%m-%dT%H:%M:%fZ', 'now')") });
    return $handle;
}

# All that is in Redis otherwise, under the keys that it has there.
my $KEYS = q(SELECT 'blacklisted_access_token:' || jti AS key, expires_at FROM blacklisted_access_tokens
    UNION ALL SELECT token, expires_at FROM refresh_tokens);

my %COMMAND = (
    ping => sub { 'PONG' },
    set => \&_set,
    setex => sub { _set($_[0], $_[1], $_[3], 'EX', $_[2]) },
    exists => sub {
        my ($db, @keys) = @_;
        return scalar grep { _one($db, "SELECT 1 FROM ($KEYS) WHERE key = ?", $_) } @keys;
    },
    del => \&_del,
    ttl => sub { _one($_[0], "SELECT expires_at - unixepoch() FROM ($KEYS) WHERE key = ?", $_[1]) // -2 },
    keys => sub {
        my ($db, $glob) = @_;
        return @{$db->selectcol_arrayref("SELECT key FROM ($KEYS) WHERE key GLOB ?", undef, $glob)};
    },
    dbsize => sub { _one($_[0], "SELECT count(*) FROM ($KEYS)") },
    flushall => sub {
        $_[0]->do("DELETE FROM $_") for qw(blacklisted_access_tokens refresh_tokens);
    },
);

# What Redis would answer to one of its commands.
sub command {
    my ($class, $db, $name, @arguments) = @_;
    my $command = $COMMAND{lc $name} or die "The embedded stack knows no $name\n";

    # Redis has bytes, SQLite characters.
    utf8::decode($_) for @arguments;
    my @answer = $command->($db, @arguments);
    utf8::encode($_) for @answer;
    return wantarray ? @answer : $answer[0];
}

sub _one {
    my ($db, $sql, @values) = @_;

    return scalar $db->selectrow_array($sql, undef, @values);
}

# refresh_token:SUBJECT:NAME; any other key is nobody's.
sub _set {
    my ($db, $key, undef, undef, $seconds) = @_;
    my $expires = time + ($seconds // 1_000_000);
    my ($subject) = $key =~ /^refresh_token:(.*):[^:]*\z/s;

    if ($key =~ /^blacklisted_access_token:(.*)\z/s) {
        $db->do('INSERT OR REPLACE INTO blacklisted_access_tokens VALUES (?, ?)', undef, $1, $expires);
    } else {
        $db->do('INSERT OR REPLACE INTO refresh_tokens VALUES (?, ?, ?)', undef, $key,
            $subject // "nobody: $key", $expires);
    }
    return 'OK';
}

sub _del {
    my ($db, @keys) = @_;

    for my $key (@keys) {
        $db->do('DELETE FROM refresh_tokens WHERE token = ?', undef, $key);
        $db->do(q(DELETE FROM blacklisted_access_tokens WHERE 'blacklisted_access_token:' || jti = ?),
            undef, $key);
    }
    return scalar @keys;
}

1;
