%% The peer "Erlang": the work of the other peers, done by processes of the Erlang virtual machine.
%%
%% A record is a tuple with the same three fields; inside one VM it is copied from heap to heap and never encoded. Times are
%% the VM's monotonic clock, in nanoseconds. Each function prints one line, its numbers separated by blanks.
-module(enginehost_peer).
-export([run/2, run/3, sink/2, wall/0, runner/1, idle/0]).

record() -> {record, binary:copy(<<"k">>, 64), 1000000, <<"node/sender/outlet.1">>}.

now_ns() -> erlang:monotonic_time(nanosecond).

%% Both in this VM.
run(Suite, Size) -> run(Suite, Size, node()).

%% The receiving process on Node, which is another VM.
run(oneway, Count, Node) ->
    connect(Node),
    Sink = spawn(Node, ?MODULE, sink, [self(), Count]),
    Record = record(),
    send(Sink, Record, Count),
    receive {seen, Seen, Took} -> say([Seen, Took]) end;
run(pingpong, Count, Node) ->
    connect(Node),
    Wall = spawn(Node, ?MODULE, wall, []),
    say(rally(Wall, Count, []));
run(ring, Hops, _Node) ->
    Third = spawn(?MODULE, runner, [self()]),
    Second = spawn(?MODULE, runner, [Third]),
    Before = now_ns(),
    Laps = Hops div 3,
    laps(Second, Laps),
    say([Laps * 3, now_ns() - Before]);
run(spawn, Count, _Node) ->
    Before = now_ns(),
    Last = crowd(Count, none),
    Last ! {ping, self()},
    receive pong -> say([Count, now_ns() - Before]) end;
run(density, Count, _Node) ->
    erlang:garbage_collect(),
    Before = erlang:memory(total),
    Last = crowd(Count, none),
    Last ! {ping, self()},
    receive pong -> say([Count, erlang:memory(total) - Before]) end.

connect(Node) when Node =:= node() -> ok;
connect(Node) -> connect(Node, 100).

connect(Node, 0) -> io:format(standard_error, "no connection to ~p~n", [Node]), halt(1);
connect(Node, Tries) ->
    case net_kernel:connect_node(Node) of
        true -> ok;
        _ -> timer:sleep(50), connect(Node, Tries - 1)
    end.

send(_Sink, _Record, 0) -> ok;
send(Sink, Record, Left) -> Sink ! Record, send(Sink, Record, Left - 1).

sink(Parent, Count) ->
    receive {record, _, _, _} -> sink(Parent, Count, 1, now_ns()) end.

sink(Parent, Count, Count, First) -> Parent ! {seen, Count, now_ns() - First};
sink(Parent, Count, Seen, First) ->
    receive
        {record, _, _, _} -> sink(Parent, Count, Seen + 1, First);
        reset -> sink(Parent, Count, 0, First)
    end.

rally(_Wall, 0, Taken) -> Taken;
rally(Wall, Left, Taken) ->
    Before = now_ns(),
    Wall ! {ball, self()},
    receive return -> rally(Wall, Left - 1, [now_ns() - Before | Taken]) end.

wall() -> receive {ball, Striker} -> Striker ! return, wall() end.

laps(_Next, 0) -> ok;
laps(Next, Left) -> Next ! {token, Left}, receive {token, _} -> laps(Next, Left - 1) end.

runner(Next) -> receive {token, Left} -> Next ! {token, Left - 1}, runner(Next) end.

crowd(0, Last) -> Last;
crowd(Left, _Last) -> crowd(Left - 1, spawn(?MODULE, idle, [])).

idle() -> receive {ping, From} -> From ! pong, idle() end.

say(Numbers) ->
    io:format("~s~n", [lists:join(" ", [integer_to_list(Number) || Number <- Numbers])]),
    halt(0).
