%% The peer "Erlang" of the suite reload: the code of a server is replaced under load, in one virtual machine.
%%
%% The steps are those of a release upgrade: suspend the process, load the module, have it change its state, resume it. The
%% module was compiled and read before. The client asks at a rate, on a tick of a millisecond. Its wait for an answer runs
%% from the question or from the answer before it, whichever was later. One line is printed: the longest wait around each
%% reload, then the answers of the round and its time in nanoseconds.
-module(enginehost_reload).
-export([run/4, client/3]).

-define(SERVER, enginehost_asked).
-define(TICK_MS, 1).
-define(BEHIND_MAX, 1000).
-define(SETTLE_MS, 100).

now_ns() -> erlang:monotonic_time(nanosecond).

run(Reloads, Entries, EntryBytes, Rate) ->
    {?SERVER, Code, File} = code:get_object_code(?SERVER),
    {ok, Server} = gen_server:start(?SERVER, {Entries, EntryBytes}, []),
    Began = now_ns(),
    Client = spawn_link(?MODULE, client, [self(), Server, Rate]),
    {_, First} = look(Client, 0),
    Waits = [reload(Server, Client, Code, File) || _ <- lists:seq(1, Reloads)],
    {_, Answered} = look(Client, First),
    io:format("~s~n", [lists:join(" ", [integer_to_list(N) || N <- Waits ++ [Answered, now_ns() - Began]])]),
    halt(0).

reload(Server, Client, Code, File) ->
    {_, Before} = look(Client, 0),
    ok = sys:suspend(Server),
    code:purge(?SERVER),
    {module, ?SERVER} = code:load_binary(?SERVER, File, Code),
    ok = sys:change_code(Server, ?SERVER, undefined, []),
    ok = sys:resume(Server),
    {Longest, _} = look(Client, Before),
    Longest.

%% After a moment, the longest wait since the last look, once there are more answers than Before.
look(Client, Before) -> look(Client, Before, 0).

look(Client, Before, Longest) ->
    timer:sleep(?SETTLE_MS),
    Client ! look,
    receive
        {waits, Ns, Answered} when Answered > Before -> {max(Longest, Ns), Answered};
        {waits, Ns, _} -> look(Client, Before, max(Longest, Ns))
    end.

client(Parent, Server, Rate) ->
    self() ! tick,
    Began = now_ns(),
    client(Parent, Server, Rate, Began, 0, 0, Began, 0).

client(Parent, Server, Rate, Began, Asked, Answered, Last, Longest) ->
    receive
        {answer, Answered, Sent} ->
            Now = now_ns(),
            client(Parent, Server, Rate, Began, Asked, Answered + 1, Now, max(Longest, Now - max(Sent, Last)));
        {answer, _, _} ->
            exit(out_of_order);
        tick ->
            erlang:send_after(?TICK_MS, self(), tick),
            Now = now_ns(),
            Due = min((Now - Began) * Rate div 1000000000 - Asked, ?BEHIND_MAX - (Asked - Answered)),
            Until = Asked + max(0, Due),
            [Server ! {ask, N, Now, self()} || N <- lists:seq(Asked, Until - 1)],
            client(Parent, Server, Rate, Began, Until, Answered, Last, Longest);
        look ->
            Parent ! {waits, Longest, Answered},
            client(Parent, Server, Rate, Began, Asked, Answered, Last, 0)
    end.
