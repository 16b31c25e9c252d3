import unittest

from tests.support import T0, QueueCase


class Flow(QueueCase):
    def test_a_job_is_taken_and_finished(self):
        job_id, created = self.queue.enqueue(T0, "mail", "hello")
        self.assertTrue(created)
        job = self.queue.take(T0 + 1, "w1")
        self.assertEqual((job.id, job.payload, job.attempts), (job_id, "hello", 1))
        self.assertTrue(self.queue.finish(T0 + 5, "w1", job_id))
        self.assertEqual(self.queue.show(job_id).state, "done")
        self.assertIsNone(self.queue.take(T0 + 6, "w1"))

    def test_jobs_come_in_the_order_in_which_they_were_put_in(self):
        ids = [self.queue.enqueue(T0 + n, "mail", str(n))[0] for n in range(3)]
        self.assertEqual([self.queue.take(T0 + 10, "w1").id for _ in ids], ids)

    def test_only_its_worker_can_finish_a_job(self):
        job_id, _ = self.queue.enqueue(T0, "mail", "hello")
        self.queue.take(T0, "w1")
        self.assertFalse(self.queue.finish(T0 + 1, "w2", job_id))
        self.assertTrue(self.queue.renew(T0 + 2, "w1", job_id))

    def test_a_delayed_job_does_not_start_at_once(self):
        self.queue.enqueue(T0, "mail", "hello", delay=120)
        self.queue.tick(T0 + 10)
        self.assertIsNone(self.queue.take(T0 + 10, "w1"))


class Failing(QueueCase):
    def test_a_failed_job_comes_again(self):
        job_id, _ = self.queue.enqueue(T0, "mail", "hello")
        self.queue.take(T0, "w1")
        self.assertEqual(self.queue.fail(T0 + 1, "w1", job_id, "no route"), (True, False))
        self.queue.tick(T0 + 500)
        self.assertEqual(self.queue.take(T0 + 500, "w2").attempts, 2)

    def test_it_is_dead_after_the_last_attempt(self):
        job_id, _ = self.queue.enqueue(T0, "mail", "hello")
        for n in range(1, 4):
            self.queue.tick(T0 + 500 * n)
            self.queue.take(T0 + 500 * n, "w1")
            self.queue.fail(T0 + 500 * n + 1, "w1", job_id, "no route")
        self.assertEqual(self.queue.show(job_id).state, "dead")
        self.assertTrue(self.queue.revive(T0 + 2000, job_id))
        self.assertEqual(self.queue.show(job_id).attempts, 0)

    def test_an_abandoned_job_goes_to_somebody_else(self):
        job_id, _ = self.queue.enqueue(T0, "mail", "hello")
        self.queue.take(T0, "w1")
        self.assertEqual(self.queue.tick(T0 + 61)["expired"], 1)
        self.assertEqual(self.queue.take(T0 + 62, "w2").id, job_id)
        self.assertFalse(self.queue.finish(T0 + 63, "w1", job_id))


class Limits(QueueCase):
    def test_no_more_jobs_of_a_type_than_its_limit(self):
        for n in range(3):
            self.queue.enqueue(T0, "print", str(n))
        first = self.queue.take(T0, "w1")
        self.assertIsNotNone(self.queue.take(T0, "w1"))
        self.assertIsNone(self.queue.take(T0, "w2"))
        self.queue.finish(T0 + 1, "w1", first.id)
        self.assertIsNotNone(self.queue.take(T0 + 2, "w2"))

    def test_other_types_are_not_held_up(self):
        for n in range(3):
            self.queue.enqueue(T0, "print", str(n))
        mail, _ = self.queue.enqueue(T0, "mail", "hello")
        taken = [self.queue.take(T0, "w1").id for _ in range(3)]
        self.assertIn(mail, taken)


class Repeats(QueueCase):
    def test_a_repeat_gets_the_first_job(self):
        first, _ = self.queue.enqueue(T0, "mail", "hello", key="order-1")
        self.assertEqual(self.queue.enqueue(T0 + 30, "mail", "hello", key="order-1"), (first, False))

    def test_after_the_window_it_is_a_job_of_its_own(self):
        first, _ = self.queue.enqueue(T0, "mail", "hello", key="order-1")
        second, created = self.queue.enqueue(T0 + 601, "mail", "hello", key="order-1")
        self.assertTrue(created)
        self.assertNotEqual(first, second)


class Old(QueueCase):
    def test_old_finished_jobs_move_to_the_archive(self):
        job_id, _ = self.queue.enqueue(T0, "mail", "hello")
        self.queue.take(T0, "w1")
        self.queue.finish(T0 + 1, "w1", job_id)
        self.assertEqual(self.queue.tick(T0 + 302)["trimmed"], 1)
        self.assertIsNone(self.queue.show(job_id))
        self.assertEqual(self.client.llen("former:archive:2023-11-14"), 1)


if __name__ == "__main__":
    unittest.main()
