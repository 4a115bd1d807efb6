"""The parts of a coordinator: what it asks of the chain, what it keeps, what it tells its clients.

``offers`` turns settings into the campaign and the tasks that go on the chain; ``delivery`` gets
each onto it exactly once, whatever dies in between; ``state_file`` keeps the campaign across
restarts; ``announcements`` tells every watching client each change in order; ``preparation``
makes the first weights and the evaluation set. ``fedcoin.application.coordinator`` puts them
together.
"""
