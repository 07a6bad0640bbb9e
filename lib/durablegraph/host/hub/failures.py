"""The texts of failures, as orchestrations and their callers see them on the real host (extension 3.19).

Serialized .NET exceptions travel in `Details`; their stack traces name no real place here, but keep the shape and about
the size of the real ones, since apps that print or store them notice both.
"""

import json
import re
from dataclasses import dataclass
from datetime import timedelta

from durablegraph.host.hub.newtonsoft import quote
from durablegraph.host.invocation import InvocationError
from durablegraph.host.sanitizer import sanitize
from durablegraph.host.timespan import format_timespan

VERSION_MISMATCH = "Orchestration version did not comply with Worker Versioning"
_FOLDERS = re.compile(r'File "/[^"]*/(?=[^/"]+")')
_LABEL = "\n\n$OutOfProcData$:"
_INVOKER_STACK = (
    "   at Microsoft.Azure.WebJobs.Script.Description.WorkerFunctionInvoker.InvokeCore(Object[] parameters, "
    "FunctionInvocationContext context) "
    "in /_/src/WebJobs.Script/Description/Workers/WorkerFunctionInvoker.cs:line 101\n"
    "   at Microsoft.Azure.WebJobs.Script.Description.FunctionInvokerBase.Invoke(Object[] parameters) "
    "in /_/src/WebJobs.Script/Description/FunctionInvokerBase.cs:line 82\n"
    "   at Microsoft.Azure.WebJobs.Host.Executors.FunctionExecutor.InvokeWithTimeoutAsync(IFunctionInvoker "
    "invoker, ParameterHelper parameterHelper, "
    "CancellationTokenSource timeoutTokenSource, CancellationTokenSource functionCancellationTokenSource)"
)
_ENGINE_STACK = (
    "   at Microsoft.Azure.WebJobs.Host.Executors.FunctionExecutor.ExecuteWithLoggingAsync(IFunctionInstanceEx "
    "instance, "
    "FunctionStartedMessage message, FunctionInstanceLogEntry instanceLogEntry, ParameterHelper "
    "parameterHelper, ILogger logger, "
    "CancellationToken cancellationToken)\n"
    "   at Microsoft.Azure.WebJobs.Extensions.DurableTask.TaskActivityShim.RunAsync(TaskContext context, "
    "String rawInput) "
    "in /_/src/WebJobs.Extensions.DurableTask/Listener/TaskActivityShim.cs:line 108\n   at "
    "System.Threading.Tasks.Task.Run()"
)
_EXIT_STACK = (
    f"{_INVOKER_STACK}\n"
    "   at Microsoft.Azure.WebJobs.Host.Executors.FunctionExecutor.ExecuteWithWatchersAsync("
    "IFunctionInstanceEx instance, ParameterHelper parameterHelper, "
    "ILogger logger, CancellationTokenSource functionCancellationTokenSource)\n"
    "   at Microsoft.Azure.WebJobs.Host.Executors.FunctionExecutor.ExecuteWithLoggingAsync(IFunctionInstanceEx "
    "instance, FunctionStartedMessage message, "
    "FunctionInstanceLogEntry instanceLogEntry, ParameterHelper parameterHelper, ILogger logger, "
    "CancellationToken cancellationToken)\n"
    "   at Microsoft.Azure.WebJobs.Host.Executors.FunctionExecutor.TryExecuteAsync(IFunctionInstance "
    "functionInstance, CancellationToken cancellationToken) "
    "in /_/src/Microsoft.Azure.WebJobs.Host/Executors/FunctionExecutor.cs:line 113\n"
    "   at Microsoft.Azure.WebJobs.Host.Executors.TriggeredFunctionExecutor`1.TryExecuteAsync("
    "TriggeredFunctionData input, "
    "CancellationToken cancellationToken) in "
    "/_/src/Microsoft.Azure.WebJobs.Host/Executors/TriggeredFunctionExecutor.cs:line 56\n"
    "   at Microsoft.Azure.WebJobs.Extensions.DurableTask.TaskActivityShim.RunAsync(TaskContext context, "
    "String rawInput) "
    "in /_/src/WebJobs.Extensions.DurableTask/Listener/TaskActivityShim.cs:line 76"
)
_EXECUTOR_STACK = (
    "   at Microsoft.Azure.WebJobs.Host.Executors.FunctionExecutor.ExecuteWithWatchersAsync("
    "IFunctionInstanceEx instance, "
    "ParameterHelper parameterHelper, ILogger logger, CancellationTokenSource functionCancellationTokenSource) "
    "in /_/src/Executors/FunctionExecutor.cs:line 581\n"
    "   at Microsoft.Azure.WebJobs.Host.Executors.FunctionExecutor.ExecuteWithLoggingAsync(IFunctionInstanceEx "
    "instance, "
    "ParameterHelper parameterHelper, ILogger logger) in /_/src/Executors/FunctionExecutor.cs:line 527\n"
)
_DISPATCH_STACK = (
    "   at Microsoft.Azure.WebJobs.Host.Executors.FunctionExecutor.TryExecuteAsync(IFunctionInstance functionInstance, "
    "CancellationToken cancellationToken) in "
    "/_/src/Microsoft.Azure.WebJobs.Host/Executors/FunctionExecutor.cs:line 108\n"
    "   at Microsoft.Azure.WebJobs.Host.Executors.TriggeredFunctionExecutor`1.TryExecuteAsync("
    "TriggeredFunctionData input, "
    "CancellationToken cancellationToken) in "
    "/_/src/Microsoft.Azure.WebJobs.Host/Executors/TriggeredFunctionExecutor.cs:line 56\n"
    "   at Microsoft.Azure.WebJobs.Extensions.DurableTask.WorkerMessageDispatcher.InvokeActivityAsync(String "
    "functionName, "
    "TaskContext context, String rawInput) in "
    "/_/src/WebJobs.Extensions.DurableTask/WorkerMessageDispatcher.cs:line 214\n"
    "   at DurableTask.Core.TaskActivityDispatcher.<>c__DisplayClass17_0.<<OnProcessWorkItemAsync>b__1>d.MoveNext() "
    "in /_/src/DurableTask.Core/TaskActivityDispatcher.cs:line 228\n"
    "   at DurableTask.Core.Middleware.DispatchMiddlewarePipeline.RunAsync(DispatchMiddlewareContext context, "
    "DispatchMiddlewareDelegate handler) in /_/src/DurableTask.Core/Middleware/DispatchMiddlewarePipeline.cs:line 43\n"
    "--- End of stack trace from previous location ---\n"
)
_SHIM_STACK = (
    "   at Microsoft.Azure.WebJobs.Extensions.DurableTask.TaskOrchestrationShim.Execute(OrchestrationContext "
    "innerContext, String serializedInput) "
    "in /_/src/WebJobs.Extensions.DurableTask/Listener/TaskOrchestrationShim.cs:line 121\n"
    "   at DurableTask.Core.TaskOrchestration`4.Execute(OrchestrationContext context, String input) "
    "in /_/src/WebJobs.Extensions.DurableTask/Listener/OutOfProcOrchestrationShim/TaskOrchestrationShim.cs:line 148"
)


@dataclass(frozen=True, slots=True)
class Failure:
    """What a failed activity or child tells its orchestration."""

    reason: str | None
    details: str | None
    failure_details: str | None = None
    """JSON text of .NET FailureDetails, set only where the engine itself failed the instance."""


def activity_failed(name: str, error: InvocationError) -> Failure:
    """User code raised."""
    message = sanitize(error.message)
    return Failure(f"Activity function '{name}' failed: {message}", _user_exception(message, error.host_text))


def activity_lost(name: str, text: str) -> Failure:
    """The worker process ended; `text` says how."""
    kind = "Microsoft.Azure.WebJobs.Script.Workers.WorkerProcessExitException"
    members = [
        '"Data":{"$type":"System.Collections.ListDictionaryInternal, System.Private.CoreLib"}',
        f'"InnerException":null,"HelpLink":null,"Source":"System.Private.CoreLib","HResult":-2146233088,"StackTrace":{quote(_EXIT_STACK)}',
    ]
    head = f'"$type":"{kind}, Microsoft.Azure.WebJobs.Script","Message":{quote(text)}'
    return Failure(f"Activity function '{name}' failed: {text}", "{" + ",".join([head, *members]) + "}")


def activity_timed_out(name: str, function: str, limit: timedelta, invocation_id: str) -> Failure:
    """The call took longer than `functionTimeout`."""
    text = f"Timeout value of {format_timespan(limit)} was exceeded by function: {function}"
    kind = "Microsoft.Azure.WebJobs.Host.FunctionTimeoutException"
    head = (
        f'"$type":"{kind}, Microsoft.Azure.WebJobs.Host","Timeout":"{format_timespan(limit)}",'
        f'"InstanceId":"{invocation_id}",'
        f'"MethodName":{quote(function)},"Handled":false,"ClassName":"{kind}"'
    )
    return Failure(f"Activity function '{name}' failed: {text}", _exception(head, text, "Microsoft.Azure.WebJobs.Host"))


def activity_result_unreadable(name: str, text: str, kind: str) -> Failure:
    """The result was JSON that .NET does not read (`kind`: the exception's class within Newtonsoft.Json)."""
    full = f"Newtonsoft.Json.{kind}"
    head = f'"$type":"{full}, Newtonsoft.Json","ClassName":"{full}"'
    return Failure(f"Activity function '{name}' failed: {text}", _exception(head, text, "Newtonsoft.Json"))


def activity_missing(name: str) -> Failure:
    """The activity's function is gone by the time its message is processed."""
    text = f"Activity function '{name}' does not exist."
    return Failure(f"Activity function '{name}' failed: {text}", _user_exception(text, text))


def http_failed(text: str) -> Failure:
    """A call of `call_http` got no response."""
    return Failure(
        text,
        _exception(
            '"$type":"System.Net.Http.HttpRequestException, '
            'System.Net.Http","ClassName":"System.Net.Http.HttpRequestException"',
            text,
            "System.Net.Http",
        ),
    )


def child_failed(output: str, error: str | None) -> Failure:
    """A child orchestration failed by its own code; `error` is its text without the host's prefix."""
    return Failure(output, None if error is None else f"Message: {error}, StackTrace: {_SHIM_STACK}")


def version_mismatch_details() -> str:
    """FailureDetails (JSON text) of an instance whose version the host does not take."""
    return json.dumps(
        {
            "ErrorType": "VersionMismatch",
            "ErrorMessage": VERSION_MISMATCH,
            "StackTrace": None,
            "InnerFailure": None,
            "IsNonRetriable": True,
            "Properties": None,
        },
        separators=(",", ":"),
    )


def orchestrator_failed(name: str, error: str) -> str:
    """The output of an orchestration that failed by its own code."""
    return f"Orchestrator function '{name}' failed: {error}"


def unlabelled_error(host_text: str) -> str:
    """The error of a turn that raised without the SDK's own message."""
    return f"One or more errors occurred. ({host_text})"


def labelled_state(error: InvocationError) -> dict[str, object] | None:
    """The state that the SDK hides in the text of a failed turn; None when there is none or the sanitizer broke it."""
    _, label, rest = sanitize(error.message).partition(_LABEL)
    if not label:
        return None
    try:
        state = json.loads(rest)
    except json.JSONDecodeError:
        return None
    return state if isinstance(state, dict) else None


def unknown_function(name: str, kind: str, known: list[str]) -> str:
    """`kind` is orchestrator, activity or entity."""
    names = ", ".join(f"'{item}'" for item in known)
    article = "a" if kind != "orchestrator" and kind[0] not in "aeiou" else "an"
    listed = (
        f"The following are the known {kind} functions: {names}."
        if known
        else f"No {kind} functions are currently registered!"
    )
    refusal = f"The function '{name}' doesn't exist, is disabled, or is not {article} {kind} function."
    return f"{refusal} Additional info: {listed}"


def _exception(head: str, message: str, source: str) -> str:
    return (
        f'{{{head},"Message":{quote(message)},"Data":null,"InnerException":null,"HelpURL":null,'
        f'"StackTraceString":{quote(_DISPATCH_STACK + _EXECUTOR_STACK + _ENGINE_STACK)},'
        f'"RemoteStackTraceString":null,"RemoteStackIndex":0,"ExceptionMethod":null,"HResult":-2146233088,"Source":"{source}","WatsonBuckets":null}}'
    )


def _user_exception(message: str, host_text: str) -> str:
    """System.Exception around the RpcException that carries the worker's text and stack.

    Files are named without their folders here: what travels through histories should not depend on where an app lies.
    """
    host_text = _FOLDERS.sub('File "', host_text)
    stack = host_text.partition("\nStack: ")[2]
    inner = (
        '{"$type":"Microsoft.Azure.WebJobs.Script.Workers.Rpc.RpcException, '
        'Microsoft.Azure.WebJobs.Script.Grpc","IsUserException":false,'
        f'"RemoteStackTrace":{quote(stack)},"RemoteMessage":{quote(message)},"RemoteTypeName":"",'
        f'"Message":{quote(host_text)},"Data":{{}},"InnerException":null,"HelpLink":null,"StackTrace":{quote(_INVOKER_STACK)},"Source":"Microsoft.Azure.WebJobs.Script.Grpc","HResult":-2146233088}}'
    )
    return (
        f'{{"$type":"System.Exception, '
        f'System.Private.CoreLib","ClassName":"System.Exception","Message":{quote(message)},"Data":null,"InnerException":{inner},'
        f'"HelpURL":null,"StackTraceString":{quote(_EXECUTOR_STACK + _ENGINE_STACK)},'
        '"RemoteStackTraceString":null,"RemoteStackIndex":0,'
        '"ExceptionMethod":null,"HResult":-2146233088,"Source":"Microsoft.Azure.WebJobs.Script","WatsonBuckets":null}'
    )
