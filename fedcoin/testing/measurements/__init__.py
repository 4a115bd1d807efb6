"""Measure what dishonest participants gain and lose, and what honest ones pay for it.

Each function runs an experiment from fixed seeds and returns plain numbers; none judges them. Tests
check bounds on small runs, and `scripts/studies/security_study.py` writes the tables of large ones
into docs/THREATS.md.

* `strategy_outcomes`: wins and coins of each mining strategy, here and in the paper's race;
* `forgery_detection`: how often forged leaves are detected, and what goes undetected;
* `audit_share`: what an audit evaluates, compared with mining;
* `challenge_grinding`: searching for a good challenge;
* `settlement_delay`: censoring proposers and withholding miners;
* `slashing`: validators that vote twice;
* `replayed_messages`: old messages, and messages of another network;
* `coordinator_fraud`, `client_fraud`: dishonest coordinators and clients;
* `difficulty_cost`, `difficulty_retargeting`: what D costs, and how it follows the miners' speed;
* `minimum_samples`: vectors of few samples, and stopping when the result is favourable;
* `count_differences`: how far counts of right answers differ between ways to compute them;
* `best_reply`: withholding by an owner of several miners;
* `evaluated_network`: a network on files, as the product evaluates it;
* `sampled_walks`: plans and honest samples that several of these use.
"""
