"""Workers: the processes in which training and evaluation run.

Decides how work is divided among processes, how it is sent to them, and what happens when one dies,
so that neither TensorFlow nor long computations run in the process of a node. It does not know why
anything is computed.

* `pool`: counts of coalitions from several workers; `file_calls`: its calls that need no job.
* `training_pool`: a few processes in which many clients train.
* `batch_sizer`, `coalition_memo`: how many coalitions a batch has; the counts that are known.
* `urgency`, `slow_jobs`: who may go first; which jobs are refused because they took too long.
* `executors`, `ray_executor`: workers as child processes of this machine, or on a Ray cluster.
* `process`, `child_main`: one child process, seen from the parent and from within; the latter
  limits its memory. `frames`: what they send each other.
* `worker_slot`: a place for one worker after another; `replies`: their answers as bytes.
* `sandbox`: what a child sees of the machine, where bubblewrap works.
* `jobs`: the functions that run in a worker.
"""
